// What stands for 0 among words that workgroups hand to each other: a word that is 0 has not come yet.
const MINUS_ZERO = 0x80000000u;
