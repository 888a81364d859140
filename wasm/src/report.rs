//! What goes wrong below the surface, told to the page: panics and the log.

use js_sys::Function;
use log::{LevelFilter, Log, Metadata, Record};
use std::panic::PanicHookInfo;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(text: &str);
    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    fn console_warn(text: &str);
}

struct Console;

impl Log for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = format!("weft: {}", record.args());
        match record.level() {
            log::Level::Error => console_error(&text),
            _ => console_warn(&text),
        }
    }

    fn flush(&self) {}
}

thread_local! {
    static ON_PANIC: std::cell::OnceCell<Function> = const { std::cell::OnceCell::new() };
}

fn hook(info: &PanicHookInfo<'_>) {
    ON_PANIC.with(|slot| {
        if let Some(callback) = slot.get() {
            // Nobody is left to hear of a callback that throws.
            let _ = callback.call1(&JsValue::NULL, &info.to_string().into());
        }
    });
}

/// Called once, before anything else: `on_panic(message)` hears of a bug that ends this instance.
#[wasm_bindgen]
pub fn start(on_panic: Function) {
    ON_PANIC.with(|slot| {
        let _ = slot.set(on_panic);
    });
    std::panic::set_hook(Box::new(hook));
    if log::set_logger(&Console).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}
