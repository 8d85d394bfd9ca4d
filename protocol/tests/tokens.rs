//! A token lets in the one it names, to the match it names, until it expires, once.

use proptest::prelude::*;
use ring::hmac;
use tessera_protocol::token::{KEY_LEN, NONCE_LEN, TokenContentError, TokenError, key_text};
use tessera_protocol::{CloseReason, SignedToken, Token, TokenGate, TokenKey};

const NOW: u64 = 1_800_000_000;
const MATCH: &str = "eu-7";

fn key() -> TokenKey {
    TokenKey::new(&[7; KEY_LEN])
}

fn gate() -> TokenGate {
    TokenGate::new(key(), MATCH)
}

/// A token for Ada that expires a minute after [`NOW`].
fn token(nonce: u8) -> SignedToken {
    let token = Token::new(MATCH, "Ada", NOW + 60, [nonce; NONCE_LEN]);
    token.expect("good content").sign(&key())
}

#[test]
fn a_good_token_lets_in_its_player_once() {
    let mut gate = gate();
    let checked = gate.check(Some(&token(1)), NOW).expect("it is good");
    assert_eq!(checked.name(), "Ada");
    assert!(
        gate.check(Some(&token(1)), NOW).is_ok(),
        "checking spends nothing"
    );
    gate.spend(&checked);
    assert_eq!(gate.check(Some(&token(1)), NOW), Err(TokenError::Used));
    assert!(
        gate.check(Some(&token(2)), NOW).is_ok(),
        "another one of the same player"
    );
}

#[test]
fn each_refusal_has_a_name_of_its_own() {
    let refused = |token: Option<&SignedToken>, now| {
        let error = gate().check(token, now).expect_err("it is refused");
        (error.close_reason(), error.to_string())
    };
    let stranger = TokenKey::new(&[8; KEY_LEN]);
    let sign = |match_id: &str, key: &TokenKey| {
        let token = Token::new(match_id, "Ada", NOW + 60, [1; NONCE_LEN]);
        token.expect("good content").sign(key)
    };
    let (reason, text) = refused(None, NOW);
    assert_eq!(
        (reason, text.contains("has none")),
        (CloseReason::TokenMissing, true)
    );
    let (reason, _) = refused(Some(&sign(MATCH, &stranger)), NOW);
    assert_eq!(reason, CloseReason::TokenBad);
    let (reason, text) = refused(Some(&sign("us-1", &key())), NOW);
    assert_eq!(reason, CloseReason::TokenForAnotherMatch);
    assert!(text.contains("`us-1`") && text.contains("`eu-7`"), "{text}");
    let (reason, text) = refused(Some(&token(1)), NOW + 65);
    assert_eq!(reason, CloseReason::TokenExpired);
    assert!(text.contains("5 s ago"), "{text}");
}

#[test]
fn it_is_good_until_the_second_in_which_it_expires() {
    assert!(gate().check(Some(&token(1)), NOW + 59).is_ok());
    assert_eq!(
        gate().check(Some(&token(1)), NOW + 60),
        Err(TokenError::Expired { ago_s: 0 })
    );
}

#[test]
fn a_clock_that_is_set_back_makes_no_token_good_again() {
    let mut gate = gate();
    let checked = gate.check(Some(&token(1)), NOW).expect("it is good");
    gate.spend(&checked);
    // Once it has expired it need not be remembered...
    assert!(gate.check(Some(&token(2)), NOW + 60).is_err());
    assert_eq!(gate.spent(), 0);
    // ...and yet it is not good when the clock says that it has not expired.
    let again = gate.check(Some(&token(1)), NOW);
    assert!(
        matches!(again, Err(TokenError::Expired { .. })),
        "{again:?}"
    );
}

#[test]
fn a_full_memory_refuses_and_forgets_nothing() {
    let mut gate = TokenGate::with_memory(key(), MATCH, 3);
    for nonce in 0..3 {
        let checked = gate.check(Some(&token(nonce)), NOW).expect("it is good");
        gate.spend(&checked);
    }
    assert_eq!(
        gate.check(Some(&token(9)), NOW),
        Err(TokenError::MemoryFull)
    );
    assert_eq!(gate.check(Some(&token(0)), NOW), Err(TokenError::Used));
    let later = Token::new(MATCH, "Ada", NOW + 90, [9; NONCE_LEN]);
    let later = later.expect("good content").sign(&key());
    assert!(
        gate.check(Some(&later), NOW + 60).is_ok(),
        "the first have expired"
    );
}

#[test]
fn what_cannot_be_in_a_token_is_told() {
    let refused = |match_id: &str, name: &str| {
        Token::new(match_id, name, NOW, [0; NONCE_LEN]).expect_err("it is refused")
    };
    assert_eq!(refused("", "Ada"), TokenContentError::MatchId(0));
    assert_eq!(
        refused(&"x".repeat(65), "Ada"),
        TokenContentError::MatchId(65)
    );
    for name in ["", "  ", "a\nb", &"x".repeat(25)] {
        assert!(
            matches!(refused(MATCH, name), TokenContentError::Name(_)),
            "{name:?}"
        );
    }
}

#[test]
fn texts_of_keys_and_tokens_are_read_back_and_others_refused() {
    let secret: [u8; KEY_LEN] = std::array::from_fn(|n| n as u8);
    let text = key_text(&secret);
    assert!(
        text.starts_with("000102") && text.ends_with("1e1f"),
        "{text}"
    );
    let read: TokenKey = format!(" {text}\n").parse().expect("a key");
    let signed = Token::new(MATCH, "Ada", NOW, [3; NONCE_LEN])
        .expect("good content")
        .sign(&TokenKey::new(&secret));
    assert!(signed.verify(&read).is_some());
    assert_eq!(signed.to_string().parse(), Ok(signed));
    for bad in [
        "",
        "00",
        &text[1..],
        &text.replace('0', "g"),
        &format!("{text}00"),
    ] {
        assert!(bad.parse::<TokenKey>().is_err(), "{bad:?}");
    }
    for bad in ["abc", "é", "0x"] {
        assert!(bad.parse::<SignedToken>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_golden_token_keeps_its_bytes() {
    // A matchmaker in another language has to make the same bytes.
    let token = Token::new("m", "Ada", 0x0102_0304, [0xaa; NONCE_LEN]).expect("good content");
    let text = token.sign(&key()).to_string();
    let (signed, tag) = text.split_at(text.len() - 64);
    assert_eq!(
        signed,
        format!("010403020100000000{}016d03416461", "aa".repeat(16))
    );
    assert_eq!(tag, GOLDEN_TAG);
}

/// Python: `hmac.new(bytes([7]) * 32, signed, "sha256").hexdigest()`
const GOLDEN_TAG: &str = "ad4a6a2658225340bc2f38a180326bfa5bb8216cf62808813a2d0b8813f7d905";

proptest! {
    #[test]
    fn no_bit_can_be_changed(
        match_id in "[a-z]{1,64}", name in "[a-zé]{1,12}", expires in any::<u64>(),
        nonce in any::<[u8; NONCE_LEN]>(), bit in any::<prop::sample::Index>(),
    ) {
        let token = Token::new(&match_id, &name, expires, nonce).expect("good content");
        let signed = token.sign(&key());
        prop_assert_eq!(signed.verify(&key()), Some(token));
        let mut bytes = signed.as_bytes().to_vec();
        let bit = bit.index(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(SignedToken::from_bytes(bytes).verify(&key()), None);
    }

    #[test]
    fn no_byte_can_be_missing_or_added(cut in any::<prop::sample::Index>(), more in any::<u8>()) {
        let signed = token(1);
        let bytes = signed.as_bytes();
        let short = SignedToken::from_bytes(&bytes[..cut.index(bytes.len())]);
        prop_assert_eq!(short.verify(&key()), None);
        let long = SignedToken::from_bytes([bytes, &[more]].concat());
        prop_assert_eq!(long.verify(&key()), None);
    }

    #[test]
    fn garbage_is_no_token_even_if_it_is_signed(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        // Under 26 bytes nothing can be whole; a version of 2 is another format.
        let other_version = [&[2], &bytes[..]].concat();
        for bytes in [&bytes[..bytes.len().min(26)], &other_version] {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; KEY_LEN]), bytes);
            let signed = SignedToken::from_bytes([bytes, tag.as_ref()].concat());
            prop_assert_eq!(signed.verify(&key()), None);
        }
        let unsigned = SignedToken::from_bytes(bytes);
        prop_assert_eq!(gate().check(Some(&unsigned), NOW), Err(TokenError::Bad));
    }
}
