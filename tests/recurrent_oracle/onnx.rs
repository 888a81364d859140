//! The ONNX operators: tests/fixtures/make_recurrent_onnx.py.

use crate::assert_near;
use crate::truth::onnx_cases;

#[test]
fn outputs_of_onnx_nodes() {
    let cases = onnx_cases();
    assert_eq!(cases.len(), 51);
    for case in cases {
        let solution = case.stack().solve();
        let outputs = [("Y", case.y(), Some(&solution.y))]
            .into_iter()
            .chain([("Y_h", 0), ("Y_c", 1)].map(|(name, state)| (name, case.last(name), solution.states.get(state))));
        let mut compared = 0;
        for (name, expected, got) in outputs {
            if let Some(expected) = expected {
                // They are f32, some of onnxruntime's through approximations of tanh and the logistic function.
                assert_near(&format!("{}: {name}", case.name), got.unwrap(), &expected, 2e-6);
                compared += 1;
            }
        }
        assert_eq!(compared, case.outputs.len(), "{}", case.name);
    }
}
