//! Takes the weights out of the published ONNX file and gives them the names that `weft::speech::Vad`
//! reads. ONNX is protobuf; of its messages, only the fields on the way to the weights are declared.

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
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

/// `TensorProto.DataType.FLOAT`.
const FLOAT: i32 = 1;

/// ONNX name, our name.
const NAMES: [(&str, &str); 15] = [
    ("model.stft.forward_basis_buffer", "stft.weight"),
    ("model.encoder.0.reparam_conv.weight", "conv1.weight"),
    ("model.encoder.0.reparam_conv.bias", "conv1.bias"),
    ("model.encoder.1.reparam_conv.weight", "conv2.weight"),
    ("model.encoder.1.reparam_conv.bias", "conv2.bias"),
    ("model.encoder.2.reparam_conv.weight", "conv3.weight"),
    ("model.encoder.2.reparam_conv.bias", "conv3.bias"),
    ("model.encoder.3.reparam_conv.weight", "conv4.weight"),
    ("model.encoder.3.reparam_conv.bias", "conv4.bias"),
    ("model.decoder.rnn.weight_ih", "lstm.weight_ih"),
    ("model.decoder.rnn.weight_hh", "lstm.weight_hh"),
    ("model.decoder.rnn.bias_ih", "lstm.bias_ih"),
    ("model.decoder.rnn.bias_hh", "lstm.bias_hh"),
    ("model.decoder.decoder.2.weight", "output.weight"),
    ("model.decoder.decoder.2.bias", "output.bias"),
];

/// The bytes of a safetensors file with the weights of a Silero VAD ONNX file (16 kHz).
pub fn to_safetensors(model: &[u8]) -> Result<Vec<u8>> {
    let graph = ModelProto::decode(model).context("no ONNX model")?.graph.context("an ONNX model without a graph")?;
    let tensors: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut views = Vec::with_capacity(NAMES.len());
    for (theirs, ours) in NAMES {
        let tensor = tensors.get(theirs).with_context(|| format!("no tensor {theirs}"))?;
        ensure!(tensor.data_type == FLOAT, "{theirs} is not f32 (ONNX data type {})", tensor.data_type);
        let shape = tensor.dims.iter().map(|&side| usize::try_from(side)).collect::<Result<Vec<_>, _>>();
        let shape = shape.with_context(|| format!("{theirs} has the shape {:?}", tensor.dims))?;
        views.push((ours, TensorView::new(Dtype::F32, shape, &tensor.raw_data).with_context(|| theirs.to_owned())?));
    }
    Ok(safetensors::serialize(views, None)?)
}
