//! Two functions, to measure and to render, become a component.

use crate::change::{Change, Operation};
use crate::component::gather;
use crate::output::{Action, Answer, Output};
use crate::window::{Measure, WindowRow};

/// One measure of one change of the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The change's place in the batch, from 0.
    pub change: u32,
    /// What it counts for.
    pub measured: Measured,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// It counts for a key.
    Counts(Measure),
    /// This change cannot be used: it becomes a dead letter with this reason.
    Reject(String),
}

/// What a component that aggregates exports. [`aggregate!`](crate::aggregate) implements it, on every target, so that
/// [`testing`](crate::testing) can run the whole life of a component natively.
pub trait Aggregate {
    /// Called once for each instance, before anything else, with `transform.config` as JSON text.
    ///
    /// # Errors
    /// A sentence that names the wrong setting: the component cannot be used like this.
    fn init(config: &str) -> Result<(), String>;

    /// What the changes of a batch, in order, count for.
    ///
    /// # Errors
    /// None of this batch could be handled: only when `init` was not called.
    fn measure(changes: &[Change]) -> Result<Vec<Measurement>, String>;

    /// What was counted, as documents. A row may come again at any time.
    ///
    /// # Errors
    /// None of these rows could be handled: only when `init` was not called.
    fn render(rows: &[WindowRow]) -> Result<Vec<Output>, String>;
}

/// Calls `function` for each change and gathers what it answers. Of deletes the host knows what they take back.
pub fn measure<A: Answer<Measure>>(changes: &[Change], function: impl Fn(&Change) -> A) -> Vec<Measurement> {
    let mut measurements = Vec::with_capacity(changes.len());
    for (change, place) in changes.iter().zip(0_u32..).filter(|(change, _)| change.operation != Operation::Delete) {
        gather(function(change), &mut measurements, |measure| Measurement {
            change: place,
            measured: measure.map_or_else(Measured::Reject, Measured::Counts),
        });
    }
    measurements
}

/// Calls `function` for each row and gathers what it answers.
pub fn render<A: Answer>(rows: &[WindowRow], function: impl Fn(&WindowRow) -> A) -> Vec<Output> {
    let mut outputs = Vec::with_capacity(rows.len());
    for (row, place) in rows.iter().zip(0_u32..) {
        gather(function(row), &mut outputs, |action| Output { change: place, action: action.unwrap_or_else(Action::Reject) });
    }
    outputs
}

/// Makes a component of a function from a [`Change`] to a [`Measure`] (an `Option` or a `Vec` of those, each of them in a
/// [`Result`](crate::Result)) and, where the [usual document](crate::WindowRow::document) will not do, one from a [`WindowRow`] to an
/// [`Answer`](crate::Answer).
///
/// ```text
/// aggregate!(search);                                // fn search(change: &Change) -> Result<Vec<Measure>>
/// aggregate!(search, keyword);                       // fn keyword(row: &WindowRow) -> Result<Option<Document>>
/// aggregate!(search, config = Settings);             // fn search(change: &Change, settings: &Settings) -> …
/// aggregate!(search, keyword, config = Settings);    // fn keyword(row: &WindowRow, settings: &Settings) -> …
/// ```
///
/// `Settings` is as in [`transform!`](crate::transform). The function is not called for a delete: the host takes back what the row had
/// counted for. The macro defines a public type `Component` where it stands; `testing::measure::<Component>` and
/// `testing::render::<Component>` test it. Once a crate, and not beside `transform!`.
#[macro_export]
macro_rules! aggregate {
    ($measure:path, config = $settings:ty $(,)?) => {
        $crate::aggregate!(@
            $settings,
            |change: &$crate::Change, settings: &$settings| $measure(change, settings),
            |row: &$crate::WindowRow, _: &$settings| row.document()
        );
    };
    ($measure:path, $render:path, config = $settings:ty $(,)?) => {
        $crate::aggregate!(@
            $settings,
            |change: &$crate::Change, settings: &$settings| $measure(change, settings),
            |row: &$crate::WindowRow, settings: &$settings| $render(row, settings)
        );
    };
    ($measure:path $(,)?) => {
        $crate::aggregate!(@
            $crate::macros::NoSettings,
            |change: &$crate::Change, _: &$crate::macros::NoSettings| $measure(change),
            |row: &$crate::WindowRow, _: &$crate::macros::NoSettings| row.document()
        );
    };
    ($measure:path, $render:path $(,)?) => {
        $crate::aggregate!(@
            $crate::macros::NoSettings,
            |change: &$crate::Change, _: &$crate::macros::NoSettings| $measure(change),
            |row: &$crate::WindowRow, _: &$crate::macros::NoSettings| $render(row)
        );
    };
    (@ $settings:ty, $measure:expr, $render:expr) => {
        /// This aggregate as a component.
        pub struct Component;

        const _: () = {
            ::std::thread_local! {
                static SETTINGS: ::std::cell::RefCell<Option<::std::rc::Rc<$settings>>> =
                    const { ::std::cell::RefCell::new(None) };
            }

            impl $crate::Aggregate for Component {
                fn init(config: &str) -> ::std::result::Result<(), String> {
                    let settings = $crate::macros::settings(config)?;
                    SETTINGS.with(|place| place.replace(Some(::std::rc::Rc::new(settings))));
                    Ok(())
                }

                fn measure(changes: &[$crate::Change]) -> ::std::result::Result<Vec<$crate::Measurement>, String> {
                    let settings = SETTINGS.with(|place| place.borrow().clone());
                    let settings = settings.ok_or("measure was called before init")?;
                    let call = $measure;
                    Ok($crate::macros::measure(changes, |change| call(change, &settings)))
                }

                fn render(rows: &[$crate::WindowRow]) -> ::std::result::Result<Vec<$crate::Output>, String> {
                    let settings = SETTINGS.with(|place| place.borrow().clone());
                    let settings = settings.ok_or("render was called before init")?;
                    let call = $render;
                    Ok($crate::macros::render(rows, |row| call(row, &settings)))
                }
            }

            $crate::export_aggregate!(Component);
        };
    };
}

/// Exports a hand-written [`Aggregate`], for what functions of one change and one row cannot do. Natively it does nothing. Once a crate.
#[macro_export]
macro_rules! export_aggregate {
    ($component:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            impl $crate::bindings::aggregate::Guest for Exported {
                fn init(config: String) -> ::std::result::Result<(), String> {
                    $crate::macros::panics_to_log();
                    <$component as $crate::Aggregate>::init(&config)
                }

                fn measure(
                    changes: Vec<$crate::macros::BoundChange>,
                ) -> ::std::result::Result<Vec<$crate::macros::BoundMeasurement>, String> {
                    let changes = $crate::macros::lift(changes);
                    <$component as $crate::Aggregate>::measure(&changes).map($crate::macros::lower_measurements)
                }

                fn render(rows: Vec<$crate::macros::BoundWindowRow>) -> ::std::result::Result<Vec<$crate::macros::BoundOutput>, String> {
                    let rows = $crate::macros::lift_rows(rows);
                    <$component as $crate::Aggregate>::render(&rows).map($crate::macros::lower)
                }
            }

    $crate::bindings::aggregate::export!(Exported with_types_in $crate::bindings::aggregate);
        };
    };
}
