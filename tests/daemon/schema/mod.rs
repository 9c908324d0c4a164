//! Installing, migrating, pausing and uninstalling on a live site.

mod backups;
mod locked_site;
mod migrate;
mod pause;
mod pause_under_load;
mod restored;
mod shrunk;
