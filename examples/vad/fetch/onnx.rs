//! Takes the weights out of a published ONNX file and gives them other names. ONNX is protobuf; of its
//! messages, only the fields on the way to the weights are declared.

use anyhow::{Context as _, Result, ensure};
use prost::Message;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;

#[derive(Message)]
struct ModelProto {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
}

#[derive(Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
}

#[derive(Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(float, repeated, tag = "4")]
    float_data: Vec<f32>,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

/// `TensorProto.DataType.FLOAT`.
const FLOAT: i32 = 1;

/// The bytes of a safetensors file with weights of an ONNX file. `names` has pairs of their name and the one here.
pub fn to_safetensors(model: &[u8], names: &[(&str, &str)]) -> Result<Vec<u8>> {
    let graph = ModelProto::decode(model).context("no ONNX model")?.graph.context("an ONNX model without a graph")?;
    let tensors: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut found = Vec::with_capacity(names.len());
    for &(theirs, ours) in names {
        let tensor = tensors.get(theirs).with_context(|| format!("no tensor {theirs}"))?;
        ensure!(tensor.data_type == FLOAT, "{theirs} is not f32 (ONNX data type {})", tensor.data_type);
        let shape = tensor.dims.iter().map(|&side| usize::try_from(side)).collect::<Result<Vec<_>, _>>();
        let shape = shape.with_context(|| format!("{theirs} has the shape {:?}", tensor.dims))?;
        // The numbers stand in one of two fields.
        let floats = tensor.float_data.iter().flat_map(|x| x.to_le_bytes());
        let bytes = if tensor.raw_data.is_empty() { floats.collect() } else { tensor.raw_data.clone() };
        found.push((theirs, ours, shape, bytes));
    }
    let mut views = Vec::with_capacity(names.len());
    for (theirs, ours, shape, bytes) in &found {
        views.push((*ours, TensorView::new(Dtype::F32, shape.clone(), bytes).with_context(|| (*theirs).to_owned())?));
    }
    Ok(safetensors::serialize(views, None)?)
}
