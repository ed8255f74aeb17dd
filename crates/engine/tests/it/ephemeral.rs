//! Ephemeral resources: opened for a phase, renewed while it lasts, closed when it is over, however that ends.

use grappe_engine::EventKind;

use crate::planned::Desk;
use crate::world::Act;

fn text(lease: &str, thing: &str) -> String {
    format!(
        "ephemeral \"t_lease\" \"l\" {{\n{lease}\n}}\nresource \"t_timed\" \"a\" {{\n name = \"a\"\n token_wo = ephemeral.t_lease.l.token\n{thing}\n}}\n"
    )
}

fn leases(desk: &Desk) -> Vec<String> {
    std::mem::take(&mut desk.bench.world.lock().unwrap().leases)
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_as_long_as_it_is_needed_and_closed_then() {
    let desk = Desk::new(&text("secs = 10", "secs = 22"));
    let applied = desk.works().await;
    // After ten seconds, and every five from then on; that a renewal fails is said, and the run goes on.
    assert_eq!(
        leases(&desk),
        ["open 1", "close 1", "open 2", "renew 2", "renew 2", "renew 2", "close 2"],
        "planning has one of its own"
    );
    assert!(format!("{applied:?}").contains("t_timed.a"));
    let state = format!("{:?}", desk.bench.state());
    assert!(!state.contains("token-"), "{state}");
    let said = "ephemeral.t_lease.l could not be renewed: it was renewed often enough";
    assert_eq!(desk.bench.count(|e| matches!(e, EventKind::Notice { text } if text.contains(said))), 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_closed_where_what_used_it_failed() {
    let desk = Desk::new(&text("", ""));
    desk.bench.world.lock().unwrap().script.insert("a".into(), [Act::Refuse].into());
    let applied = desk.apply().await;
    assert!(!applied.summary.is_success());
    assert_eq!(leases(&desk), ["open 1", "close 1", "open 2", "close 2"]);
    // Nothing needs it where nothing is done.
    desk.works().await;
    leases(&desk);
    let session = desk.bench.session();
    let plan = desk.plan(&session).await.unwrap();
    assert!(plan.is_empty());
    assert_eq!(leases(&desk), ["open 1", "close 1"]);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_opened_stops_what_needs_it() {
    let desk = Desk::new(&text("broken = true", ""));
    let session = desk.bench.session();
    let refused = desk.plan(&session).await.unwrap_err().to_string();
    assert!(refused.contains("ephemeral.t_lease.l") && refused.contains("no lease is left"), "{refused}");
    drop(session);
    // While applying: nothing of it is known before.
    let text = text("broken = t_timed.first.id != \"\"", "")
        + "resource \"t_timed\" \"first\" {\n name = \"first\"\n}\n";
    let mut desk = Desk::new(&text);
    desk.write(&text);
    let applied = desk.apply().await;
    assert_eq!((applied.summary.failed, applied.summary.skipped), (1, 1));
    assert!(format!("{:?}", applied.summary.errors).contains("no lease is left"));
}
