// One step of a GRU for a whole batch. Twin: src/cpu/cell.rs::gru_step.
#import gru_cell
#import stepped_tier
