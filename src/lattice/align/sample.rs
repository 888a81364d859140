//! Paths drawn from the posterior: from the start, each arc with the probability of all paths that take it.

use super::graph::{Node, Trellis, Way};
use super::posterior::turns;

/// SplitMix64 (Steele, Lea & Flood 2014): a counter in steps of the golden ratio, hashed.
pub(in crate::lattice) struct Random(u64);

impl Random {
    /// The stream of one sample: seed, utterance and sample hashed one after the other, so that no sample depends on how many
    /// others are drawn, nor on the order of utterances.
    pub fn of(seed: u64, utterance: u64, sample: u64) -> Self {
        let hash = |x: u64| Self(x).word();
        Self(hash(hash(hash(seed).wrapping_add(utterance)).wrapping_add(sample)))
    }

    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// In [0, 1), multiples of 2^-53.
    fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 * 2f64.powi(-53)
    }
}

/// One path. O(T + U) turns.
pub(in crate::lattice) fn sample<G: Trellis>(graph: &G, random: &mut Random) -> Option<Vec<Way>> {
    let mut path = Vec::new();
    let mut here = Vec::new();
    let mut node = Node::START;
    while !graph.is_end(node) {
        turns(graph, node, &mut here);
        let mut rest = random.unit();
        let drawn = here.iter().find(|turn| {
            rest -= turn.log2.exp2();
            rest < 0.0
        });
        // Probabilities may sum to a little less than 1.
        let way = drawn.or(here.last())?.way;
        path.push(way);
        node = way.to;
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::Random;

    /// The first words of the generator's reference code, from state 1234567.
    #[test]
    fn words_are_those_of_splitmix64() {
        let mut random = Random(1_234_567);
        let words = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([random.word(), random.word(), random.word()], words);
    }
}
