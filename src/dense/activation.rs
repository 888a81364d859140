/// A pointwise activation, with the code that `shaders/shared/activation.wgsl` knows it by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Activation {
    /// x
    #[default]
    Identity = 0,
    /// max(x, 0)
    Relu = 1,
    /// 1 / (1 + e^-x)
    Sigmoid = 2,
    /// tanh x
    Tanh = 3,
}
