// One step of an LSTM for a whole batch. Twin: src/cpu/cell.rs::lstm_step.
#import lstm_cell
#import stepped_tier
