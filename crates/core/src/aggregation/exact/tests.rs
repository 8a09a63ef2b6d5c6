//! Sums that grow until they leave the limbs that they began in.

use super::*;

/// Powers of two from one end of the floats to the other.
fn powers() -> impl Iterator<Item = f64> {
    (-950..1_000).step_by(7).map(|power| 2_f64.powi(power))
}

#[test]
fn w2_a_sum_that_outgrows_its_limbs_stays_exact() {
    for unit in powers() {
        for sign in [1.0, -1.0] {
            let tiny = unit * 2_f64.powi(-100);
            let (mut sum, mut alone) = (FloatSum::default(), FloatSum::default());
            sum.add(tiny);
            alone.add(tiny);
            for _ in 0..9_000 {
                sum.add(sign * 1.5 * unit);
            }
            assert_eq!(sum.sum(), Some(sign * 13_500.0 * unit));
            for _ in 0..9_000 {
                sum.remove(sign * 1.5 * unit);
            }
            assert_eq!((sum.sum(), &sum), (Some(tiny), &alone));
        }
    }
}

#[test]
fn w2_moments_that_outgrow_their_limbs_stay_exact() {
    for unit in powers().filter(|unit| (1e-70..1e70).contains(unit)) {
        let mut moments = Moments::new(Order::Fourth);
        moments.add(unit * 2_f64.powi(-40));
        moments.remove(unit * 2_f64.powi(-40));
        for i in 0..20_000 {
            moments.add(if i % 4 == 0 { 1.25 * unit } else { 0.25 * unit });
        }
        // One value in four is a unit above the others: a Bernoulli variable with p = 1/4.
        assert_eq!(moments.finish(Moment::VarPop, 0), Some(3.0 / 16.0 * unit * unit));
        assert_eq!(moments.finish(Moment::StddevPop, 0), Some((3.0_f64 / 16.0).sqrt() * unit));
        assert_eq!(moments.finish(Moment::Skew, 0), Some((4.0_f64 / 3.0).sqrt()));
        assert_eq!(moments.finish(Moment::Kurtosis, 0), Some(-2.0 / 3.0));
    }
}

#[test]
fn w2_a_sum_of_zeros_is_the_positive_zero() {
    let mut sum = ExactSum::default();
    sum.add(-0.0);
    assert_eq!(sum.round().to_bits(), 0);
    sum.add(1.0);
    sum.remove(1.0);
    assert_eq!((sum.round().to_bits(), &sum), (0, &ExactSum::default()));
}

#[test]
fn w4_special_values_come_and_go() {
    let mut sum = ExactSum::default();
    sum.add(2.0);
    sum.add(f64::INFINITY);
    assert_eq!(sum.round(), f64::INFINITY);
    sum.add(f64::NEG_INFINITY);
    assert!(sum.round().is_nan());
    sum.remove(f64::INFINITY);
    assert_eq!(sum.round(), f64::NEG_INFINITY);
    sum.add(f64::NAN);
    sum.remove(f64::NEG_INFINITY);
    assert!(sum.round().is_nan());
    sum.remove(f64::NAN);
    assert_eq!(sum.round(), 2.0);
}

#[test]
fn a_standard_deviation_is_known_where_its_variance_is_no_float() {
    for unit in [1e-200, 1e200] {
        let mut moments = Moments::new(Order::Second);
        [-unit, unit].iter().for_each(|value| moments.add(*value));
        assert_eq!(moments.finish(Moment::StddevPop, 0), Some(unit));
    }
}
