//! torch's nn.RNN, nn.LSTM and nn.GRU: tests/fixtures/make_recurrent_torch.py.

use crate::truth::torch_cases;
use crate::{assert_near, assert_values};

#[test]
fn values_and_gradients_of_torch() {
    let cases = torch_cases();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let (name, solution) = (&case.name, case.stack.solve());
        assert_near(&format!("{name}: y"), &solution.y, &case.y, 1e-9);
        for (got, expected) in solution.states.iter().zip(&case.states) {
            assert_near(&format!("{name}: states"), got, expected, 1e-9);
        }
        assert_values(name, &case.stack.gradients(&case.pull), &case.gradients, 1e-9);
    }
}
