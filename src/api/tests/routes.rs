//! Every route: its answers, its errors, and whether it asks for the token.

use expect_test::expect;

use super::{Invented, answers, app, ask, locked, server, status};
use crate::error::Failure;
use crate::pipeline::status::{Command, CommandError, NotReloaded, RunState};

fn two() -> Invented {
    Invented { pipelines: vec![status("products", RunState::Running), status("orders", RunState::Stopped)], ..Invented::default() }
}

#[tokio::test]
async fn readiness_names_the_pipeline_that_does_not_progress_and_why() {
    let all_states = [RunState::Running, RunState::Finished, RunState::Waiting, RunState::Paused, RunState::Stopped];
    let mut said = String::new();
    for state in all_states {
        let app = app(Invented { pipelines: vec![status("p", state)], ..Invented::default() }, &server());
        said.push_str(&answers(&app, &["GET /health/ready"]).await);
    }
    said.push_str(&answers(&app(Invented::default(), &server()), &["GET /health/ready", "GET /health/live"]).await);
    expect![[r#"
        GET /health/ready
          200 {"ready":true,"not_progressing":[]}
        GET /health/ready
          200 {"ready":true,"not_progressing":[]}
        GET /health/ready
          503 {"ready":false,"not_progressing":[{"pipeline":"p","state":"waiting","reason":"it does not say why","remedy":null}]}
        GET /health/ready
          503 {"ready":false,"not_progressing":[{"pipeline":"p","state":"paused","reason":"it was paused: resume it","remedy":null}]}
        GET /health/ready
          503 {"ready":false,"not_progressing":[{"pipeline":"p","state":"stopped","reason":"the index has no field id","remedy":"add the field, then restart the pipeline"}]}
        GET /health/ready
          200 {"ready":true,"not_progressing":[]}
        GET /health/live
          200 {"live":true}
    "#]]
    .assert_eq(&said);
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let (code, text) = ask(&app(Invented::default(), &server()), "GET /metrics", &[]).await;
    expect![[r#"
        # HELP rowmill_things_total Things.
        # TYPE rowmill_things_total counter
        rowmill_things_total{pipeline="products"} 3
    "#]]
    .assert_eq(&text);
    assert_eq!(code, 200);
}

#[tokio::test]
async fn pipelines_are_listed_and_shown() {
    let app = app(two(), &server());
    let (_, list) = ask(&app, "GET /admin/pipelines", &[]).await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let names: Vec<_> = list["pipelines"].as_array().unwrap().iter().map(|pipeline| pipeline["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["products", "orders"]);
    expect![[r#"
        GET /admin/pipelines/orders
          200 {"name":"orders","source":"kafka","sink":"embedded","state":"stopped","reason":"the index has no field id","remedy":"add the field, then restart the pipeline","lanes":[{"lane":"public.products/0","newest":120,"received":119,"applied":110,"durable":100}],"lag_events":20,"lag_seconds":0.5,"rates":{"events_per_second":10.0,"documents_per_second":9.5},"totals":{"events_applied":100,"events_stale":0,"events_dead":0,"events_ignored":0,"events_late":0,"documents_indexed":0,"documents_deleted":0,"documents_unchanged":0,"documents_refused":0},"module":{"hash":"ab12","version":1,"path":"m.wasm","bytes":10,"loaded_ms":5},"watermark_ms":null,"last_error":{"message":"a batch was refused","kind":"unavailable","at_ms":7},"dead_letters":3}
        GET /admin/pipelines/nowhere
          404 {"error":"pipeline nowhere does not exist"}
        GET /admin/pipelines/%ff
          400 {"error":"the path cannot be read: Invalid URL: Invalid UTF-8 in `pipeline`"}
    "#]]
    .assert_eq(&answers(&app, &["GET /admin/pipelines/orders", "GET /admin/pipelines/nowhere", "GET /admin/pipelines/%ff"]).await);
}

#[tokio::test]
async fn commands_reach_the_pipeline() {
    let pipelines = std::sync::Arc::new(two());
    let app = super::router(super::Api::new(pipelines.clone(), prometheus::Registry::new(), super::settings(&server())));
    for (line, expected) in [
        ("POST /admin/pipelines/products/pause", Command::Pause),
        ("POST /admin/pipelines/products/resume", Command::Resume),
        ("POST /admin/pipelines/orders/restart", Command::Restart),
    ] {
        let (code, body) = ask(&app, line, &[]).await;
        assert_eq!((code.as_u16(), body.contains("\"state\"")), (200, true), "{line}: {body}");
        assert_eq!(pipelines.told.lock().unwrap().last().unwrap().1, expected);
    }
    expect![[r#"
        POST /admin/pipelines/nowhere/pause
          404 {"error":"pipeline nowhere does not exist"}
        GET /admin/pipelines/products/pause
          405 {"error":"/admin/pipelines/products/pause does not answer GET: see the header Allow for what it does"}
        POST /admin/pipelines/products/explode
          404 {"error":"there is nothing at /admin/pipelines/products/explode: the paths are listed in the documentation under HTTP"}
    "#]]
    .assert_eq(
        &answers(
            &app,
            &["POST /admin/pipelines/nowhere/pause", "GET /admin/pipelines/products/pause", "POST /admin/pipelines/products/explode"],
        )
        .await,
    );
}

#[tokio::test]
async fn a_command_that_is_not_carried_out_says_why() {
    let mut said = String::new();
    for refusal in [
        CommandError::Conflict("the process is shutting down: start it again first".to_owned()),
        CommandError::Failed(Failure::unavailable("the sink cannot be reached")),
        CommandError::Failed(Failure::bug("a lock is poisoned")),
    ] {
        let app = app(Invented { refusal: Some(refusal), ..two() }, &server());
        said.push_str(&answers(&app, &["POST /admin/pipelines/products/pause"]).await);
    }
    expect![[r#"
        POST /admin/pipelines/products/pause
          409 {"error":"the process is shutting down: start it again first"}
        POST /admin/pipelines/products/pause
          503 {"error":"the sink cannot be reached"}
        POST /admin/pipelines/products/pause
          500 {"error":"a lock is poisoned"}
    "#]]
    .assert_eq(&said);
}

#[tokio::test]
async fn a_reload_answers_with_its_plan_or_with_everything_that_is_wrong() {
    let mut said = answers(&app(two(), &server()), &["GET /admin/reload", "POST /admin/reload"]).await;
    let refused = NotReloaded::Refused {
        message: "the old configuration serves: there are 2 problems".to_owned(),
        file: "/etc/rowmill.toml".to_owned(),
        problems: vec!["one".to_owned(), "another".to_owned()],
        plan: Some(Box::new(super::changes())),
    };
    for not_reloaded in [refused, NotReloaded::Conflict("the process is shutting down: start it again first".to_owned())] {
        let app = app(Invented { not_reloaded: Some(not_reloaded), ..two() }, &server());
        said.push_str(&answers(&app, &["POST /admin/reload"]).await);
    }
    expect![[r#"
        GET /admin/reload
          200 {"result":"planned","file":"rowmill.toml","compared_with_ms":5,"plan":{"process":[],"pipelines":[{"name":"p","fate":"changed","settings":[{"key":"batch.max_wait","old":"\"0s\"","new":"\"2s\""}],"notes":[]}],"obstacles":[]},"text":"~ p: restarts between two batches\n    batch.max_wait: \"0s\" → \"2s\"\n"}
        POST /admin/reload
          200 {"result":"applied","file":"rowmill.toml","compared_with_ms":5,"plan":{"process":[],"pipelines":[{"name":"p","fate":"changed","settings":[{"key":"batch.max_wait","old":"\"0s\"","new":"\"2s\""}],"notes":[]}],"obstacles":[]},"text":"~ p: restarts between two batches\n    batch.max_wait: \"0s\" → \"2s\"\n"}
        POST /admin/reload
          422 {"error":"the old configuration serves: there are 2 problems","file":"/etc/rowmill.toml","plan":{"obstacles":[],"pipelines":[{"fate":"changed","name":"p","notes":[],"settings":[{"key":"batch.max_wait","new":"\"2s\"","old":"\"0s\""}]}],"process":[]},"problems":["one","another"],"text":"~ p: restarts between two batches\n    batch.max_wait: \"0s\" → \"2s\"\n"}
        POST /admin/reload
          409 {"error":"the process is shutting down: start it again first"}
    "#]].assert_eq(&said);
    let locked = app(two(), &locked());
    assert_eq!(ask(&locked, "POST /admin/reload", &[]).await.0, 401);
}

#[tokio::test]
async fn a_changed_token_counts_at_once() {
    let (settings, server) = tokio::sync::watch::channel(server());
    let app = super::router(super::Api::new(std::sync::Arc::new(two()), prometheus::Registry::new(), server));
    assert_eq!(ask(&app, "GET /admin/pipelines", &[]).await.0, 200);
    settings.send_replace(locked());
    assert_eq!(ask(&app, "GET /admin/pipelines", &[]).await.0, 401);
    assert_eq!(ask(&app, "GET /admin/pipelines", &[("authorization", "Bearer geheim")]).await.0, 200);
}

#[tokio::test]
async fn dead_letters_are_listed_newest_first() {
    let app = app(two(), &server());
    expect![[r#"
        GET /admin/pipelines/products/dead-letters?limit=1
          200 {"dead_letters":[{"id":3,"at_ms":3000,"stage":"transform","reason":"price is no number","topic":"public.products","partition":0,"offset":43,"table":"public.products","key":"3","version":{"first":9,"second":1},"replays":0,"value":null,"is_cut":false}]}
        GET /admin/pipelines/products/dead-letters?limit=0
          400 {"error":"limit must be a whole number from 1 to 1000"}
        GET /admin/pipelines/products/dead-letters?limits=1
          400 {"error":"limits is not a known parameter: did you mean limit?"}
        GET /admin/pipelines/nowhere/dead-letters
          404 {"error":"pipeline nowhere does not exist"}
    "#]]
    .assert_eq(
        &answers(
            &app,
            &[
                "GET /admin/pipelines/products/dead-letters?limit=1",
                "GET /admin/pipelines/products/dead-letters?limit=0",
                "GET /admin/pipelines/products/dead-letters?limits=1",
                "GET /admin/pipelines/nowhere/dead-letters",
            ],
        )
        .await,
    );
}

#[tokio::test]
async fn dead_letters_are_shown_replayed_and_dropped_one_by_one_or_by_what_they_have() {
    let app = app(two(), &server());
    expect![[r#"
        GET /admin/pipelines/products/dead-letters/2
          200 {"id":2,"at_ms":2000,"stage":"transform","reason":"price is no number","topic":"public.products","partition":0,"offset":42,"table":"public.products","key":"2","version":{"first":9,"second":1},"replays":0,"value":null,"is_cut":false}
        GET /admin/pipelines/products/dead-letters/9
          404 {"error":"pipeline products has no dead letter 9: it was replayed or dropped, or never there"}
        GET /admin/pipelines/products/dead-letters/two
          400 {"error":"two is not the number of a dead letter: use an id from the list"}
        GET /admin/pipelines/products/dead-letters?key=2&reason=NUMBER
          200 {"dead_letters":[{"id":2,"at_ms":2000,"stage":"transform","reason":"price is no number","topic":"public.products","partition":0,"offset":42,"table":"public.products","key":"2","version":{"first":9,"second":1},"replays":0,"value":null,"is_cut":false}]}
        GET /admin/pipelines/products/dead-letters?stage=sinks
          400 {"error":"stage must be one of decode, transform, sink"}
        POST /admin/pipelines/products/dead-letters/2/replay
          200 {"replayed":1,"dead_again":0,"waiting":0,"not_kept":0}
        POST /admin/pipelines/products/dead-letters/9/replay
          404 {"error":"pipeline products has no dead letter 9: it was replayed or dropped, or never there"}
        POST /admin/pipelines/products/dead-letters/replay
          400 {"error":"say which: all=true, or one of id, stage, table, key, topic, reason"}
        POST /admin/pipelines/products/dead-letters/replay?stage=transform&table=public.products
          200 {"replayed":3,"dead_again":0,"waiting":0,"not_kept":0}
        POST /admin/pipelines/products/dead-letters/replay?all=true&key=1
          400 {"error":"all=true means every dead letter: leave it out, or the others"}
        DELETE /admin/pipelines/products/dead-letters/2
          200 {"dropped":1}
        DELETE /admin/pipelines/products/dead-letters/9
          404 {"error":"pipeline products has no dead letter 9: it was replayed or dropped, or never there"}
        DELETE /admin/pipelines/products/dead-letters
          400 {"error":"say which: all=true, or one of id, stage, table, key, topic, reason"}
        DELETE /admin/pipelines/products/dead-letters?id=1,3
          200 {"dropped":2}
        DELETE /admin/pipelines/products/dead-letters?all=true
          200 {"dropped":3}
        DELETE /admin/pipelines/nowhere/dead-letters?all=true
          404 {"error":"pipeline nowhere does not exist"}
    "#]].assert_eq(
        &answers(
            &app,
            &[
                "GET /admin/pipelines/products/dead-letters/2",
                "GET /admin/pipelines/products/dead-letters/9",
                "GET /admin/pipelines/products/dead-letters/two",
                "GET /admin/pipelines/products/dead-letters?key=2&reason=NUMBER",
                "GET /admin/pipelines/products/dead-letters?stage=sinks",
                "POST /admin/pipelines/products/dead-letters/2/replay",
                "POST /admin/pipelines/products/dead-letters/9/replay",
                "POST /admin/pipelines/products/dead-letters/replay",
                "POST /admin/pipelines/products/dead-letters/replay?stage=transform&table=public.products",
                "POST /admin/pipelines/products/dead-letters/replay?all=true&key=1",
                "DELETE /admin/pipelines/products/dead-letters/2",
                "DELETE /admin/pipelines/products/dead-letters/9",
                "DELETE /admin/pipelines/products/dead-letters",
                "DELETE /admin/pipelines/products/dead-letters?id=1,3",
                "DELETE /admin/pipelines/products/dead-letters?all=true",
                "DELETE /admin/pipelines/nowhere/dead-letters?all=true",
            ],
        )
        .await,
    );
}

#[tokio::test]
async fn modules_are_replaced_listed_and_rolled_back() {
    let app = app(two(), &server());
    expect![[r#"
        PUT /admin/pipelines/products/module
          422 {"error":"the module is not WebAssembly"}
        PUT /admin/pipelines/nowhere/module
          404 {"error":"pipeline nowhere does not exist"}
        GET /admin/pipelines/products/modules
          200 {"modules":[{"hash":"ab12","from":"file","since_ms":5}]}
        POST /admin/pipelines/products/modules/rollback
          200 {"hash":"ab12","version":1,"path":"m.wasm","bytes":10,"loaded_ms":5,"trial":{"changes":3,"documents":3,"documents_changed":0,"failed":0,"examples":[]}}
        PUT /admin/pipelines/products/module?shadow=perhaps
          400 {"error":"shadow must be one of true, false"}
        PUT /admin/pipelines/products/module?shadow=true
          422 {"error":"the module is not WebAssembly"}
        GET /admin/pipelines/products/shadow
          409 {"error":"pipeline products has no shadow"}
        DELETE /admin/pipelines/products/shadow
          409 {"error":"pipeline products has no shadow"}
        POST /admin/pipelines/products/shadow/serve
          200 {"hash":"ab12","version":1,"path":"m.wasm","bytes":10,"loaded_ms":5,"trial":{"changes":3,"documents":3,"documents_changed":0,"failed":0,"examples":[]}}
        GET /admin/pipelines/products/sample?limit=1
          200 {"headers":["a","b"],"key":"{\"id\":1}","offset":7,"partition":2,"payload":null,"topic":"shop.public.products","ts":5}

        GET /admin/pipelines/products/sample?limit=65
          400 {"error":"limit must be a whole number from 1 to 64"}
        GET /admin/pipelines/nowhere/sample
          404 {"error":"pipeline nowhere does not exist"}
    "#]]
    .assert_eq(
        &answers(
            &app,
            &[
                "PUT /admin/pipelines/products/module",
                "PUT /admin/pipelines/nowhere/module",
                "GET /admin/pipelines/products/modules",
                "POST /admin/pipelines/products/modules/rollback",
                "PUT /admin/pipelines/products/module?shadow=perhaps",
                "PUT /admin/pipelines/products/module?shadow=true",
                "GET /admin/pipelines/products/shadow",
                "DELETE /admin/pipelines/products/shadow",
                "POST /admin/pipelines/products/shadow/serve",
                "GET /admin/pipelines/products/sample?limit=1",
                "GET /admin/pipelines/products/sample?limit=65",
                "GET /admin/pipelines/nowhere/sample",
            ],
        )
        .await,
    );
}

#[tokio::test]
async fn collections_are_searched_where_they_are_held() {
    let app = app(two(), &server());
    expect![[r#"
        GET /api/v1/collections
          200 {"collections":["products"]}
        GET /api/v1/products/search?q=lamp
          200 {"total":1,"hits":[{"id":"7","score":1.5,"version":256,"document":{"name":"Lamp","price":12.50}}],"took_ms":2}
        GET /api/v1/product/search
          404 {"error":"collection product does not exist: did you mean products?"}
        GET /api/v1/zzz/search
          404 {"error":"collection zzz does not exist: GET /api/v1/collections lists those there are"}
        GET /api/v1/products/search?q=%3F
          400 {"error":"the field price holds no dates"}
        GET /api/v1/broken/search
          503 {"error":"the search server cannot be reached"}
        GET /api/v1/products/search?limt=5
          400 {"error":"limt is not a known parameter: did you mean limit?"}
        POST /api/v1/products/search
          405 {"error":"/api/v1/products/search does not answer POST: see the header Allow for what it does"}
        GET /nothing
          404 {"error":"there is nothing at /nothing: the paths are listed in the documentation under HTTP"}
    "#]]
    .assert_eq(
        &answers(
            &app,
            &[
                "GET /api/v1/collections",
                "GET /api/v1/products/search?q=lamp",
                "GET /api/v1/product/search",
                "GET /api/v1/zzz/search",
                "GET /api/v1/products/search?q=%3F",
                "GET /api/v1/broken/search",
                "GET /api/v1/products/search?limt=5",
                "POST /api/v1/products/search",
                "GET /nothing",
            ],
        )
        .await,
    );
}

#[tokio::test]
async fn every_admin_call_needs_the_token_and_nothing_else_does() {
    let app = app(two(), &locked());
    let admin = [
        "GET /admin/pipelines",
        "GET /admin/pipelines/products",
        "GET /admin/pipelines/nowhere",
        "POST /admin/pipelines/products/pause",
        "POST /admin/pipelines/products/resume",
        "POST /admin/pipelines/products/restart",
        "PUT /admin/pipelines/products/module",
        "GET /admin/pipelines/products/modules",
        "POST /admin/pipelines/products/modules/rollback",
        "GET /admin/pipelines/products/shadow",
        "DELETE /admin/pipelines/products/shadow",
        "POST /admin/pipelines/products/shadow/serve",
        "GET /admin/pipelines/products/sample",
        "GET /admin/pipelines/products/dead-letters",
        "GET /admin/pipelines/products/dead-letters/1",
        "DELETE /admin/pipelines/products/dead-letters",
        "DELETE /admin/pipelines/products/dead-letters/1",
        "POST /admin/pipelines/products/dead-letters/replay",
        "POST /admin/pipelines/products/dead-letters/1/replay",
    ];
    for line in admin {
        for wrong in ["", "Bearer ", "Bearer geheim2", "Bearer gehei", "Bearer GEHEIM", "Basic geheim", "geheim", "Bearer  geheim"] {
            let (code, body) = ask(&app, line, &[("authorization", wrong)]).await;
            assert_eq!(code, 401, "{line} with {wrong:?}: {body}");
            assert!(!body.contains("geheim"), "{body}");
        }
        for right in ["Bearer geheim", "bearer geheim"] {
            assert_ne!(ask(&app, line, &[("authorization", right)]).await.0, 401, "{line}");
        }
    }
    for line in ["GET /", "GET /metrics", "GET /health/ready", "GET /health/live", "GET /api/v1/collections", "GET /api/v1/products/search"]
    {
        assert_ne!(ask(&app, line, &[]).await.0, 401, "{line}");
    }
}
