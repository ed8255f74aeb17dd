//! Data sources: what is there already, found by what is known of it.
//!
//! Most are a list with filters, of which one object is taken ([`found::Found`]).

mod found;
mod image;
mod others;
mod tables;

use grappe_provider::{AnyDataSource, erased};

use found::Found;
pub(crate) use image::{described, properties};

pub(crate) fn sources() -> Vec<Box<dyn AnyDataSource>> {
    vec![
        erased::data_source(Found(tables::network())),
        erased::data_source(Found(tables::subnet())),
        erased::data_source(Found(tables::security_group())),
        erased::data_source(Found(tables::flavor())),
        erased::data_source(image::Image),
        erased::data_source(others::Keypair),
        erased::data_source(others::Zones),
        erased::data_source(others::Scope),
    ]
}
