//! What a site may look like, and what it may do without failing (P8).

mod app_path;
mod deadlocks;
mod presets;
mod same_names;
mod shapes;
mod site_settings;
