//! A function becomes a component.

use crate::change::{Change, Operation};
use crate::json;
use crate::output::{Action, Answer, Output};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What a component exports. [`transform!`](crate::transform) implements it, on every target, so that
/// [`testing`](crate::testing) can run the whole life of a component natively.
pub trait Component {
    /// Called once for each instance, before any batch, with `transform.config` as JSON text.
    ///
    /// # Errors
    /// A sentence that names the wrong setting: the component cannot be used like this.
    fn init(config: &str) -> Result<(), String>;

    /// One batch, in order.
    ///
    /// # Errors
    /// None of this batch could be handled: only when `init` was not called.
    fn transform(changes: &[Change]) -> Result<Vec<Output>, String>;
}

/// The settings of a transform that has none: any setting is an error that names it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Reads `transform.config`. No text and `null` are an empty object.
pub fn settings<T: DeserializeOwned>(config: &str) -> Result<T, String> {
    let text = match config.trim() {
        "" | "null" => "{}",
        text => text,
    };
    json::parse(text, "setting").map_err(|error| format!("transform.config: {}", error.into_reason()))
}

/// Calls `function` for each change and gathers what it answers. Deletes are left to the host unless `deletes`.
pub fn run<A: Answer>(changes: &[Change], deletes: bool, function: impl Fn(&Change) -> A) -> Vec<Output> {
    let mut outputs = Vec::with_capacity(changes.len());
    for (change, place) in changes.iter().zip(0_u32..) {
        if change.operation == Operation::Delete && !deletes {
            continue;
        }
        gather(function(change), &mut outputs, |action| Output { change: place, action: action.unwrap_or_else(Action::Reject) });
    }
    outputs
}

/// Puts what was answered behind the others: each item, or the reason why there is none.
pub fn gather<I, O>(answer: impl Answer<I>, outputs: &mut Vec<O>, output: impl Fn(Result<I, String>) -> O) {
    if let Err(error) = answer.answer(&mut |item| outputs.push(output(Ok(item)))) {
        outputs.push(output(Err(error.into_reason())));
    }
}

/// Makes a component of a function from a [`Change`] to an [`Answer`](crate::Answer).
///
/// ```text
/// transform!(product);                                       // fn product(change: &Change) -> Result<Document>
/// transform!(product, config = Settings);                    // fn product(change: &Change, settings: &Settings) -> …
/// transform!(product, config = Settings, deletes = true);    // called for deletes too
/// ```
///
/// `Settings` is any `serde::Deserialize` that owns its data; `#[serde(deny_unknown_fields)]` finds typing errors. By
/// default the function is not called for a delete: the host deletes what the row had produced.
///
/// The macro defines a public type `Component` where it stands; `testing::run::<Component>` tests it. Once a crate.
#[macro_export]
macro_rules! transform {
    ($function:path $(, deletes = $deletes:literal)? $(,)?) => {
        $crate::transform!(@
            $crate::macros::NoSettings,
            false $(|| $deletes)?,
            |change: &$crate::Change, _: &$crate::macros::NoSettings| $function(change)
        );
    };
    ($function:path, config = $settings:ty $(, deletes = $deletes:literal)? $(,)?) => {
        $crate::transform!(@
            $settings,
            false $(|| $deletes)?,
            |change: &$crate::Change, settings: &$settings| $function(change, settings)
        );
    };
    (@ $settings:ty, $deletes:expr, $call:expr) => {
        /// This transform as a component.
        pub struct Component;

        const _: () = {
            ::std::thread_local! {
                static SETTINGS: ::std::cell::RefCell<Option<::std::rc::Rc<$settings>>> =
                    const { ::std::cell::RefCell::new(None) };
            }

            impl $crate::Component for Component {
                fn init(config: &str) -> ::std::result::Result<(), String> {
                    let settings = $crate::macros::settings(config)?;
                    SETTINGS.with(|place| place.replace(Some(::std::rc::Rc::new(settings))));
                    Ok(())
                }

                fn transform(changes: &[$crate::Change]) -> ::std::result::Result<Vec<$crate::Output>, String> {
                    let settings = SETTINGS.with(|place| place.borrow().clone());
                    let settings = settings.ok_or("transform was called before init")?;
                    let call = $call;
                    Ok($crate::macros::run(changes, $deletes, |change| call(change, &settings)))
                }
            }

            $crate::export!(Component);
        };
    };
}

/// Exports a hand-written [`Component`](trait@crate::Component), for what a function of one change cannot do: an answer to
/// the whole batch, or settings that are no JSON object. Natively it does nothing. Once a crate.
#[macro_export]
macro_rules! export {
    ($component:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            impl $crate::bindings::Guest for Exported {
                fn init(config: String) -> ::std::result::Result<(), String> {
                    $crate::macros::panics_to_log();
                    <$component as $crate::Component>::init(&config)
                }

                fn transform(changes: Vec<$crate::macros::BoundChange>) -> ::std::result::Result<Vec<$crate::macros::BoundOutput>, String> {
                    let changes = $crate::macros::lift(changes);
                    <$component as $crate::Component>::transform(&changes).map($crate::macros::lower)
                }
            }

    $crate::bindings::export!(Exported with_types_in $crate::bindings);
        };
    };
}
