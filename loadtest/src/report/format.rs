//! Numbers as people read them.

use super::schema::Percentiles;

/// What stands where nothing was measured.
pub const NONE: &str = "–";

/// Numbers of a distribution for people; dashes where nothing was measured.
pub fn numbers<const N: usize>(
    of: &Percentiles,
    numbers: [f64; N],
    show: impl Fn(f64) -> String,
) -> [String; N] {
    numbers.map(|number| match of.is_empty() {
        true => NONE.to_owned(),
        false => show(number),
    })
}

/// Three significant digits: `0.0781`, `3.42`, `15.6`, `128`.
pub fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".into();
    }
    let digits = 2 - value.abs().log10().floor() as i32;
    let text = format!("{value:.*}", digits.clamp(0, 6) as usize);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A time given in µs: `780 ns`, `42 µs`, `3.42 ms`, `1.2 s`.
pub fn micros(us: f64) -> String {
    time(us, significant)
}

/// A time given in µs with all its three digits, so that a column of them lines up: `42.0 µs`, `1.20 s`.
pub fn micros_aligned(us: f64) -> String {
    time(us, |v| {
        // Rounded first: 9.996 has one digit before the point, but is written with two.
        let rounded: f64 = significant(v).parse().unwrap_or(v);
        let digits = 2 - rounded.abs().max(1e-9).log10().floor() as i32;
        format!("{rounded:.*}", digits.clamp(0, 2) as usize)
    })
}

fn time(us: f64, write: impl Fn(f64) -> String) -> String {
    match us.abs() {
        0.0 => "0".into(),
        a if a < 1.0 => format!("{} ns", write(us * 1e3)),
        a if a < 999.5 => format!("{} µs", write(us)),
        a if a < 999_500.0 => format!("{} ms", write(us / 1e3)),
        _ => format!("{} s", write(us / 1e6)),
    }
}

/// A length given in µm: `120 µm`, `3.4 mm`, `1.2 cm`, `2.1 m`.
pub fn micrometres(um: f64) -> String {
    match um.abs() {
        a if a < 999.5 => format!("{} µm", significant(um)),
        a if a < 9_995.0 => format!("{} mm", significant(um / 1e3)),
        a if a < 999_500.0 => format!("{} cm", significant(um / 1e4)),
        _ => format!("{} m", significant(um / 1e6)),
    }
}

/// A share as percent, with as many decimals as it takes to tell it from all: `99.98 %`.
pub fn share(share: f64) -> String {
    match share {
        1.0 => "100 %".into(),
        share if share > 0.99 => format!("{:.3} %", share * 100.0),
        share => format!("{} %", significant(share * 100.0)),
    }
}

/// An amount of bytes in decimal units: `812 B`, `34.1 kB`, `1.2 MB`.
pub fn bytes(bytes: f64) -> String {
    match bytes.abs() {
        a if a < 999.5 => format!("{bytes:.0} B"),
        a if a < 999_500.0 => format!("{} kB", significant(bytes / 1e3)),
        a if a < 999.5e6 => format!("{} MB", significant(bytes / 1e6)),
        _ => format!("{} GB", significant(bytes / 1e9)),
    }
}

/// An integer with thin spaces between thousands: `3 840`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out
}

/// A short form of a count for a tight place: `812`, `34k`, `1.2M`.
pub fn short_count(value: f64) -> String {
    match value.abs() {
        a if a < 999.5 => format!("{value:.0}"),
        a if a < 999_500.0 => format!("{}k", significant((value / 1e2).round() / 10.0)),
        _ => format!("{}M", significant((value / 1e5).round() / 10.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_without_values_has_no_numbers() {
        let shown = |p: Percentiles| numbers(&p, [p.p50, p.max], micros);
        assert_eq!(shown(Percentiles::default()), [NONE, NONE]);
        let max = 5.0;
        let one = Percentiles {
            max,
            ..Percentiles::default()
        };
        assert_eq!(shown(one), ["0", "5 µs"]);
    }

    #[test]
    fn numbers_read_well() {
        let cases = [
            (micros(0.0), "0"),
            (micros(0.78), "780 ns"),
            (micros(42.0), "42 µs"),
            (micros(999.9), "1 ms"),
            (micros(3_421.0), "3.42 ms"),
            (micros(15_625.0), "15.6 ms"),
            (micros(1_200_000.0), "1.2 s"),
            (micros_aligned(42.0), "42.0 µs"),
            (micros_aligned(9.996), "10.0 µs"),
            (micros_aligned(1_200_000.0), "1.20 s"),
            (micros_aligned(128_000.0), "128 ms"),
            (micrometres(0.0), "0 µm"),
            (micrometres(3_400.0), "3.4 mm"),
            (micrometres(12_000.0), "1.2 cm"),
            (micrometres(2_100_000.0), "2.1 m"),
            (share(1.0), "100 %"),
            (share(0.999_893), "99.989 %"),
            (share(0.25), "25 %"),
            (bytes(812.0), "812 B"),
            (bytes(34_120.0), "34.1 kB"),
            (bytes(999_900.0), "1 MB"),
            (count(0), "0"),
            (count(3_840), "3\u{2009}840"),
            (count(1_234_567), "1\u{2009}234\u{2009}567"),
            (short_count(34_120.0), "34.1k"),
            (short_count(12.0), "12"),
            (significant(0.07812), "0.0781"),
            (significant(100.0), "100"),
            (significant(-2.5), "-2.5"),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }
}
