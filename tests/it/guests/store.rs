//! What a real guest keeps, and what it cannot do to its store.

use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use rowmill::event::Change;
use rowmill::transform::settings::TransformSettings;
use rowmill::transform::{KeyValues, Transform, Written};
use serde_json::json;

use super::{Host, change, check, component, settings};

const KEEP: &str = "{\"mode\":\"keep\"}";

#[test]
fn what_a_guest_keeps_outlives_its_instance_and_what_a_failed_change_wrote_is_forgotten() {
    let mut host = Host::hostile();
    for (rows, expected) in [
        (vec![KEEP, "{\"id\":1}", KEEP], vec!["index {\"kept\":1}", "index {\"id\":1}", "index {\"kept\":2}"]),
        (
            vec![KEEP, "{\"mode\":\"keep_trap\"}", KEEP],
            vec!["index {\"kept\":3}", "error: the guest trapped: wasm `unreachable` instruction executed", "index {\"kept\":4}"],
        ),
        (
            vec!["{\"mode\":\"keep_reject\"}", KEEP, "{\"mode\":\"keep_reject\"}", KEEP],
            vec![
                "error: the row asked for it, after a write",
                "index {\"kept\":5}",
                "error: the row asked for it, after a write",
                "index {\"kept\":6}",
            ],
        ),
        (
            vec![KEEP, "{\"mode\":\"wrong_change\"}", KEEP],
            vec![
                "index {\"kept\":7}",
                "error: the guest returned an output for change 1000000 of a batch of 1, counted from 0",
                "index {\"kept\":8}",
            ],
        ),
        (vec!["{\"mode\":\"keep_reject\"}"], vec!["error: the row asked for it, after a write"]),
        (vec!["{\"mode\":\"reject\"}", KEEP], vec!["error: the row asked for it", "index {\"kept\":9}"]),
    ] {
        assert_eq!(host.run(&rows), expected);
    }
    assert_eq!(host.store.get("kept").unwrap().as_deref(), Some(&b"9"[..]));
}

#[test]
fn a_guest_without_a_key_for_its_document_has_written_nothing() {
    let mut host = Host::hostile();
    let changes = [Change { key: None, ..change(KEEP) }];
    let store: Arc<dyn KeyValues> = Arc::new(host.store.clone());
    let ran = host.transform.run(&changes, &store).unwrap();
    assert!(ran.outcomes[0].is_err() && ran.written == Written::default(), "{ran:?}");
}

#[test]
fn a_trial_sees_its_own_writes_and_leaves_nothing_behind() {
    let mut host = Host::hostile();
    host.run(&[KEEP]);
    let store: Arc<dyn KeyValues> = Arc::new(host.store.clone());
    let tried = Transform::trial(&component("hostile"), &settings("hostile", json!({})), &[change(KEEP), change(KEEP)], &store).unwrap();
    assert_eq!(tried.into_iter().map(super::shown).collect::<Vec<_>>(), ["index {\"kept\":2}", "index {\"kept\":3}"]);
    assert_eq!(host.run(&[KEEP]), ["index {\"kept\":2}"]);
}

#[test]
fn what_is_done_to_the_store_is_bounded() {
    check(
        "keep_flood 4000000000",
        expect![[r#"
            error: the guest was not done in 300ms (transform.timeout)
            rowmill_guest_traps_total{pipeline="shop",reason="timeout"} 2"#]],
    );
    check(
        "keep_huge",
        expect![[r#"
            index {"said":["store: a key of 2097152 bytes: 1024 are allowed","store: a value of 2097152 bytes: 1048576 are allowed, 
        "#]],
    );
    check(
        "keep_full",
        expect![[r#"
        index {"fits":15,"fits_again":true,"said":"store: the store is full (1.0 MiB): delete what is not needed any more, or ra
    "#]],
    );
    check(
        "keep_list 2500",
        expect![[r#"
        index {"keys":2500}
    "#]],
    );
    check(
        "keep_open",
        expect![[r#"
        index {"others":0,"held":1000}
    "#]],
    );
}

/// Megabytes are passed: that takes its time where nothing is optimised.
fn unhurried() -> Host {
    Host::with(TransformSettings { timeout: Duration::from_secs(60), ..settings("hostile", json!({})) }, "hostile").unwrap()
}

#[test]
fn a_call_that_writes_too_much_has_failed_whatever_it_makes_of_the_answers() {
    let mut host = unhurried();
    let outcomes = host.run(&[KEEP, "{\"mode\":\"keep_flood\"}", KEEP]);
    expect!["error: the guest wrote to its store more than 100000 times or 16.0 MiB in one call"].assert_eq(&outcomes[1]);
    assert_eq!((outcomes[0].as_str(), outcomes[2].as_str()), ("index {\"kept\":1}", "index {\"kept\":2}"));
    expect![[r#"rowmill_guest_traps_total{pipeline="shop",reason="store"} 2"#]].assert_eq(&host.counted());
    assert_eq!(host.store.keys(0, 9).unwrap().len(), 1, "nothing of it is kept");
}

/// Together they write more than a call may; each alone does not.
#[test]
fn a_batch_that_only_writes_too_much_together_is_done_in_parts() {
    let mut host = unhurried();
    let row = "{\"mode\":\"keep_flood\",\"count\":1}";
    for _ in 0..2 {
        assert!(host.run(&[row; 20]).iter().all(|outcome| outcome == "index {\"written\":true}"));
    }
    assert!(host.counted().contains("reason=\"store\"} 1"), "{}", host.counted());
}
