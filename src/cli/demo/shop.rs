//! What goes on in the demo's shop: a recorded day, then days that are made up as they go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::Receiver;

use crate::clock::Clock;

/// File of the products' changes.
pub const PRODUCTS: &str = "products";
/// File of the orders' changes.
pub const ORDERS: &str = "orders";
/// File of what is searched for.
pub const SEARCHES: &str = "searches";

/// A day at the shop, as a real Debezium told it.
const RECORDED: &str = include_str!("../../../examples/demo/events.jsonl");
/// How fast the recorded day is played: one sees each change, and the day is over within two minutes.
const RECORDED_PACE: Duration = Duration::from_millis(150);
/// How often something happens afterwards.
const LIVE_PACE: Duration = Duration::from_millis(400);
/// Made-up orders are numbered from here, far from the recorded ones.
const LIVE_ORDERS_FROM: u64 = 100_000;
/// Orders that are still on their way; older ones are left alone.
const OPEN_ORDERS_MAX: usize = 200;

/// How often a customer searches for something.
const SEARCH_PACE: Duration = Duration::from_millis(900);
/// What customers search for; each in turn is in fashion for a while.
const SOUGHT: [&str; 9] = ["lamp", "kettle", "hammock", "linen", "notebook", "desk lamp", "radio", "planter", "oak stool"];
/// How long something is in fashion: long enough to lead the last minute.
const FASHION: Duration = Duration::from_secs(40);

const CUSTOMERS: [&str; 6] = ["Ada Lindqvist", "Elif Aydin", "Hana Sato", "Jonas Berg", "Maya Iyer", "Oluchi Eze"];

/// Plays until it is stopped; `asked` is what is searched for on the page.
pub async fn play(dir: PathBuf, asked: Receiver<String>) {
    let opened = tokio::try_join!(Shop::open(&dir), open(&dir, SEARCHES));
    let (mut shop, searches) = match opened {
        Ok(opened) => opened,
        Err(error) => return tracing::error!("the shop cannot open: {error}"),
    };
    if let Err(error) = tokio::try_join!(shop.run(), log_searches(searches, asked)) {
        tracing::error!("the shop had to close: {error}");
    }
}

async fn open(dir: &Path, name: &str) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).open(dir.join(format!("{name}.jsonl"))).await
}

/// Writes down what is searched for: on the page, and by customers who are made up.
async fn log_searches(mut file: File, mut asked: Receiver<String>) -> std::io::Result<()> {
    let clock = Clock::system();
    loop {
        let search = tokio::time::timeout(SEARCH_PACE.mul_f64(2.0 * clock.chance()), asked.recv());
        let (query, user) = match search.await {
            Ok(Some(query)) => (query, "you"),
            Ok(None) => return Ok(()),
            Err(_) => (sought(&clock).to_owned(), one_of(&clock, &CUSTOMERS)),
        };
        write_line(&mut file, &json!({"query": query, "at": clock.now_ms(), "user": user}).to_string()).await?;
    }
}

fn sought(clock: &Clock) -> &'static str {
    let turn = Duration::from_millis(clock.now_ms()).as_secs() / FASHION.as_secs();
    let in_fashion = SOUGHT.get(usize::try_from(turn).unwrap_or(0) % SOUGHT.len()).copied().unwrap_or_default();
    if clock.chance() < 0.4 { in_fashion } else { one_of(clock, &SOUGHT) }
}

fn one_of(clock: &Clock, all: &[&'static str]) -> &'static str {
    all.get((clock.chance() * all.len() as f64) as usize).copied().unwrap_or_default()
}

struct Shop {
    clock: Clock,
    products_file: File,
    orders_file: File,
    timestamps: Option<Regex>,
    /// Rows as they are, by id.
    products: BTreeMap<u64, Value>,
    open_orders: BTreeMap<u64, Value>,
    next_order: u64,
    lsn: u64,
    offset: u64,
}

impl Shop {
    async fn open(dir: &Path) -> std::io::Result<Self> {
        let (products_file, orders_file) = (open(dir, PRODUCTS).await?, open(dir, ORDERS).await?);
        Ok(Self {
            clock: Clock::system(),
            products_file,
            orders_file,
            timestamps: Regex::new(r#"(\\"ts_ms\\":|"ts":)\d+"#).ok(),
            products: BTreeMap::new(),
            open_orders: BTreeMap::new(),
            next_order: LIVE_ORDERS_FROM,
            lsn: 0,
            offset: 1_000_000,
        })
    }

    async fn run(&mut self) -> std::io::Result<()> {
        for line in RECORDED.lines() {
            let is_snapshot = line.contains(r#"\"op\":\"r\""#);
            self.replay(line).await?;
            if !is_snapshot {
                tokio::time::sleep(RECORDED_PACE).await;
                if self.happens(0.3) {
                    self.place_order().await?;
                }
            }
        }
        loop {
            tokio::time::sleep(LIVE_PACE).await;
            match self.clock.chance() {
                chance if chance < 0.35 => self.place_order().await?,
                chance if chance < 0.65 => self.move_order().await?,
                _ => self.change_product().await?,
            }
        }
    }

    /// Writes a recorded event, as if it happened now.
    async fn replay(&mut self, line: &str) -> std::io::Result<()> {
        let now = format!("${{1}}{}", self.clock.now_ms());
        let line = self.timestamps.as_ref().map_or_else(|| line.into(), |timestamps| timestamps.replace_all(line, now));
        let message: Value = serde_json::from_str(&line).unwrap_or_default();
        let payload: Value =
            message.get("payload").and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        self.lsn = self.lsn.max(payload.pointer("/source/lsn").and_then(Value::as_u64).unwrap_or(0));
        let is_order = message.get("topic").and_then(Value::as_str).is_some_and(|topic| topic.ends_with(".orders"));
        if !is_order {
            let id = |row: &str| payload.pointer(&format!("/{row}/id")).and_then(Value::as_u64);
            if let (Some(id), Some(row)) = (id("after"), payload.get("after")) {
                self.products.insert(id, row.clone());
            } else if let Some(id) = id("before") {
                self.products.remove(&id);
            }
        }
        write_line(if is_order { &mut self.orders_file } else { &mut self.products_file }, &line).await
    }

    async fn place_order(&mut self) -> std::io::Result<()> {
        let Some((product, row)) = self.pick(&self.products) else { return Ok(()) };
        let price: f64 = row.get("price").and_then(Value::as_str).and_then(|price| price.parse().ok()).unwrap_or(10.0);
        let quantity = 1 + (self.clock.chance() * 4.0) as u64;
        let customer = one_of(&self.clock, &CUSTOMERS);
        let order = json!({
            "id": self.next_order, "product_id": product, "customer": customer, "quantity": quantity,
            "total": format!("{:.2}", price * quantity as f64), "status": "placed", "placed_at": self.now(),
        });
        self.next_order += 1;
        self.write_order("c", order).await
    }

    async fn move_order(&mut self) -> std::io::Result<()> {
        let Some((_, mut order)) = self.pick(&self.open_orders) else { return Ok(()) };
        let next = match order.get("status").and_then(Value::as_str) {
            Some("placed") if self.happens(0.1) => "cancelled",
            Some("placed") => "paid",
            _ => "shipped",
        };
        set(&mut order, "status", json!(next));
        self.write_order("u", order).await
    }

    async fn change_product(&mut self) -> std::io::Result<()> {
        let Some((id, mut product)) = self.pick(&self.products) else { return Ok(()) };
        if self.happens(0.7) {
            set(&mut product, "stock", json!((self.clock.chance() * 60.0) as u64));
        } else {
            let price = product.get("price").and_then(Value::as_str).and_then(|price| price.parse::<f64>().ok()).unwrap_or(20.0);
            set(&mut product, "price", json!(format!("{:.2}", price.clamp(1.0, 2_000.0) * (0.85 + 0.3 * self.clock.chance()))));
        }
        set(&mut product, "updated_at", json!(self.now()));
        self.products.insert(id, product.clone());
        let line = self.event("products", "u", &product);
        write_line(&mut self.products_file, &line).await
    }

    async fn write_order(&mut self, operation: &str, order: Value) -> std::io::Result<()> {
        let line = self.event("orders", operation, &order);
        let id = order.get("id").and_then(Value::as_u64).unwrap_or_default();
        if matches!(order.get("status").and_then(Value::as_str), Some("shipped" | "cancelled")) {
            self.open_orders.remove(&id);
        } else {
            self.open_orders.insert(id, order);
        }
        if self.open_orders.len() > OPEN_ORDERS_MAX {
            self.open_orders.pop_first();
        }
        write_line(&mut self.orders_file, &line).await
    }

    /// A change as Debezium would tell it, as `kcat -J` would print it.
    fn event(&mut self, table: &str, operation: &str, after: &Value) -> String {
        // Log positions grow by what a small change takes in the write-ahead log.
        self.lsn += 200;
        self.offset += 1;
        let now_ms = self.clock.now_ms();
        let lsn = self.lsn.to_string();
        let payload = json!({
            "before": null, "after": after, "op": operation, "ts_ms": now_ms,
            "source": {
                "version": "3.7.0.Final", "connector": "postgresql", "name": "dbserver1", "ts_ms": now_ms, "snapshot": "false",
                "db": "postgres", "sequence": json!([lsn, lsn]).to_string(), "schema": "public", "table": table, "lsn": self.lsn,
            },
        });
        let key = json!({"id": after.get("id")});
        json!({
            "topic": format!("dbserver1.public.{table}"), "partition": 0, "offset": self.offset, "ts": now_ms, "headers": [],
            "key": key.to_string(), "payload": payload.to_string(),
        })
        .to_string()
    }

    fn pick(&self, rows: &BTreeMap<u64, Value>) -> Option<(u64, Value)> {
        let place = (self.clock.chance() * rows.len() as f64) as usize;
        rows.iter().nth(place).map(|(id, row)| (*id, row.clone()))
    }

    fn happens(&self, probability: f64) -> bool {
        self.clock.chance() < probability
    }

    /// The time of day as a timestamptz is told.
    fn now(&self) -> String {
        let at = std::time::UNIX_EPOCH + Duration::from_millis(self.clock.now_ms());
        humantime::format_rfc3339_micros(at).to_string()
    }
}

fn set(row: &mut Value, column: &str, value: Value) {
    if let Some(slot) = row.get_mut(column) {
        *slot = value;
    }
}

async fn write_line(file: &mut File, line: &str) -> std::io::Result<()> {
    // One write for line and line break: a reader never sees half of it.
    file.write_all(format!("{line}\n").as_bytes()).await?;
    file.flush().await
}
