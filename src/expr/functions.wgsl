fn cell_exp(x: f32) -> f32 {
    return exp(min(x, 88.0));
}

fn cell_log(x: f32) -> f32 {
    return log(max(x, 0x1p-126f));
}

fn cell_sqrt(x: f32) -> f32 {
    return sqrt(max(x, 0.0));
}

fn cell_tanh(x: f32) -> f32 {
    let e = exp(-2.0 * abs(x));
    let s = x * x;
    let series = x + x * s * (-0.33333334 + s * (0.13333334 + s * (-0.053968254 + s * 0.021869488)));
    return select(sign(x) * (1.0 - e) / (1.0 + e), series, s < 0.0625);
}

fn cell_sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(1.0, e, x < 0.0) / (1.0 + e);
}

fn cell_softplus(x: f32) -> f32 {
    return max(x, 0.0) + log(1.0 + exp(-abs(x)));
}

fn cell_half_turn(x: f32, turns: f32, whole: f32) -> f32 {
    let r = clamp(((x - turns * 3.140625) - turns * 0.0009670257568359375) - turns * 6.2783295e-7, -1.5707964, 1.5707964);
    let s = r * r;
    let tail = 0.008333333 + s * (-0.0001984127 + s * (0.0000027557319 + s * -0.000000025052108));
    let series = r + r * s * (-0.16666667 + s * tail);
    return select(series, -series, whole - 2.0 * floor(whole * 0.5) > 0.5);
}

fn cell_sin(x: f32) -> f32 {
    let whole = round(x * 0.31830987);
    return cell_half_turn(x, whole, whole);
}

fn cell_cos(x: f32) -> f32 {
    let whole = round(x * 0.31830987 + 0.5);
    return cell_half_turn(x, whole - 0.5, whole);
}
