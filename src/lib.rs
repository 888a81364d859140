//! weft: portable GPU compute for sequence models whose inner loop is serial.
