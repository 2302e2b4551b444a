//! What the storage tells of itself to `sys/metrics`.

use framework::metrics::{Measured, Page};

use crate::Storage;

impl Measured for Storage {
    fn measure(&self, page: &mut Page) {
        let stats = self.stats();
        page.counter("holdfast.journal_records_total", "Transactions written to the journal.", &[], stats.transactions);
        page.counter("holdfast.journal_groups_total", "Groups of transactions that shared a sync.", &[], stats.groups);
        page.counter("holdfast.journal_syncs_total", "Syncs of files and folders asked for.", &[], stats.syncs);
        page.gauge("holdfast.journal_sequence", "Number of the last durable transaction.", &[], stats.sequence as f64);
        page.gauge("holdfast.journal_bytes", "Bytes of journal held.", &[], stats.journal_bytes as f64);
        page.gauge("holdfast.storage_records", "Records held.", &[], stats.records as f64);
    }
}
