// Whether scores are log-probabilities: picked, not summed.
fn is_picked() -> bool {
    return SCORES == LOG_PROBS || SCORES == GATHERED;
}
