//! What the documents show is what the program does.

mod monitoring;
mod readme;
mod reference;
