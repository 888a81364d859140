//! Products of matrices in the three forms that a layer needs, and sums of columns.

use super::case::{Case, Labels, Ready};
use super::cells::noise;
use half::f16;
use weft::dense::{Form, column_sums_reported_blocking, matmul_into_blocking};
use weft::{Context, DType, Tensor};

/// Form, m, n and k: large; the products of LSTM layers, T = 500, of N = 1 and 16; few rows.
const SIDES: &[(Form, [usize; 3])] = &[
    (Form::Nt, [8192, 4096, 1024]),
    (Form::Nn, [8192, 4096, 1024]),
    (Form::Tn, [4096, 1024, 8192]),
    (Form::Nt, [8192, 2048, 512]),
    (Form::Nt, [8000, 2560, 640]),
    (Form::Tn, [2560, 640, 8000]),
    (Form::Nt, [500, 1024, 256]),
    (Form::Nn, [500, 256, 1024]),
    (Form::Tn, [1024, 256, 500]),
    (Form::Nt, [32, 4096, 1024]),
    (Form::Nt, [16, 4096, 1024]),
    (Form::Nt, [1, 2560, 640]),
];
const QUICK_SIDES: &[(Form, [usize; 3])] = &[(Form::Nt, [40, 24, 32]), (Form::Nn, [40, 24, 32]), (Form::Tn, [24, 32, 600])];

/// Every case of the table, in its order.
pub fn cases(quick: bool) -> Vec<Case> {
    let sides = if quick { QUICK_SIDES } else { SIDES };
    let products =
        [DType::F32, DType::F16].into_iter().flat_map(|dtype| sides.iter().map(move |&(form, sides)| product(form, dtype, sides)));
    let sums = if quick { [600, 40] } else { [8000, 4096] };
    products.chain([column_sums(sums)]).collect()
}

fn labels(op: &'static str, input: &'static str, dtype: DType) -> Labels {
    let dtype = if dtype == DType::F16 { "f16" } else { "f32" };
    Labels { op, input, dtype, layout: "dense", lengths: "full", data: "flat", direction: "forward" }
}

fn product(form: Form, dtype: DType, [m, n, k]: [usize; 3]) -> Case {
    let name = match form {
        Form::Nt => "nt",
        Form::Nn => "nn",
        Form::Tn => "tn",
    };
    let prepare = Box::new(move |gpu: &Context| {
        let a = upload(gpu, if form == Form::Tn { [k, m] } else { [m, k] }, dtype, 1)?;
        let b = upload(gpu, if form == Form::Nt { [n, k] } else { [k, n] }, dtype, 2)?;
        let c = Tensor::empty(gpu, &[m, n], DType::F32)?;
        let bytes = (a.bytes() + b.bytes() + c.bytes()) as f64;
        let results = c.bytes();
        let call = Box::new(move || matmul_into_blocking(form, &a, &b, &c, false));
        Ok(Ready {
            call,
            before: None,
            bytes,
            flops: Some(2.0 * (m * n * k) as f64),
            cells: None,
            workspace: None,
            results,
            materialised: None,
            steps: None,
        })
    });
    Case { labels: labels("gemm", name, dtype), shape: vec![("m", m), ("n", n), ("k", k)], prepare }
}

fn column_sums([m, n]: [usize; 2]) -> Case {
    let prepare = Box::new(move |gpu: &Context| {
        let x = upload(gpu, [m, n], DType::F32, 1)?;
        let bytes = x.bytes() as f64;
        let call = Box::new(move || Ok(column_sums_reported_blocking(&x)?.1));
        Ok(Ready {
            call,
            before: None,
            bytes,
            flops: None,
            cells: None,
            workspace: None,
            results: 4 * n as u64,
            materialised: None,
            steps: None,
        })
    });
    Case { labels: labels("column-sums", "x", DType::F32), shape: vec![("m", m), ("n", n)], prepare }
}

fn upload(gpu: &Context, shape: [usize; 2], dtype: DType, seed: u32) -> weft::Result<Tensor> {
    let values = noise(shape[0] * shape[1], seed, 1.0);
    if dtype == DType::F16 {
        let halves: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
        return Tensor::from_f16(gpu, &shape, &halves);
    }
    Tensor::from_slice(gpu, &shape, &values)
}
