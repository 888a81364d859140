//! Log-probabilities from what the model gives, and gradients back through them.

/// How a row of the input becomes log-probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head {
    /// The input is log-probabilities already. They need not be normalised.
    LogProbs,
    /// log softmax over the tokens.
    Softmax,
    /// The blank by a sigmoid, the other tokens by a softmax among themselves.
    Hat { blank: u32 },
}

/// Log-probabilities [rows, tokens + durations]. The durations have a softmax of their own.
pub struct Rows {
    pub log_probs: Vec<f64>,
    head: Head,
    tokens: usize,
    channels: usize,
}

/// log(sum(exp)) of nothing is -inf.
pub fn log_sum(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let peak = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if peak == f64::NEG_INFINITY { peak } else { peak + values.map(|x| (x - peak).exp()).sum::<f64>().ln() }
}

/// log softmax; -inf throughout where all is -inf.
fn log_softmax(row: &mut [f64]) {
    let total = log_sum(row.iter().copied());
    for x in row {
        *x = if total == f64::NEG_INFINITY { total } else { *x - total };
    }
}

/// log(1 / (1 + exp(-x)))
fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

/// The non-blank part of a row.
fn without(row: &[f64], blank: usize) -> impl Iterator<Item = f64> + Clone {
    row.iter().enumerate().filter(move |&(v, _)| v != blank).map(|(_, &x)| x)
}

impl Rows {
    pub fn new(input: &[f64], head: Head, tokens: usize, durations: usize) -> Self {
        let channels = tokens + durations;
        let mut log_probs = input.to_vec();
        for row in log_probs.chunks_mut(channels) {
            let (tokens, durations) = row.split_at_mut(tokens);
            match head {
                Head::LogProbs => continue,
                Head::Softmax => log_softmax(tokens),
                Head::Hat { blank } => {
                    let blank = blank as usize;
                    let (b, rest) = (tokens[blank], log_sum(without(tokens, blank)));
                    for (v, x) in tokens.iter_mut().enumerate() {
                        *x = match v == blank {
                            true => log_sigmoid(b),
                            false if rest == f64::NEG_INFINITY => rest,
                            false => *x - rest + log_sigmoid(-b),
                        };
                    }
                }
            }
            log_softmax(durations);
        }
        Self { log_probs, head, tokens, channels }
    }

    /// Gradient by the input from the gradient by the log-probabilities.
    pub fn pull_back(&self, by_log_probs: &[f64]) -> Vec<f64> {
        let mut gradient = by_log_probs.to_vec();
        for (row, log_probs) in gradient.chunks_mut(self.channels).zip(self.log_probs.chunks(self.channels)) {
            let (tokens, durations) = row.split_at_mut(self.tokens);
            let (token_log_probs, duration_log_probs) = log_probs.split_at(self.tokens);
            match self.head {
                Head::LogProbs => continue,
                Head::Softmax => through_softmax(tokens, token_log_probs),
                Head::Hat { blank } => {
                    let blank = blank as usize;
                    let others: f64 = without(tokens, blank).sum();
                    let p = token_log_probs[blank].exp();
                    let rest = log_sum(without(token_log_probs, blank));
                    for (v, g) in tokens.iter_mut().enumerate() {
                        *g = match v == blank {
                            true => *g * (1.0 - p) - others * p,
                            false if rest == f64::NEG_INFINITY => 0.0,
                            false => *g - (token_log_probs[v] - rest).exp() * others,
                        };
                    }
                }
            }
            through_softmax(durations, duration_log_probs);
        }
        gradient
    }
}

fn through_softmax(gradient: &mut [f64], log_probs: &[f64]) {
    let total: f64 = gradient.iter().sum();
    for (g, l) in gradient.iter_mut().zip(log_probs) {
        *g -= l.exp() * total;
    }
}
