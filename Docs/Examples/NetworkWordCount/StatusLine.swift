import StreamingContext
import Synchronization

/// Prints a line about each finished batch and, at the end, what was done in all.
final class StatusLine: StreamingListener {
    private struct Totals {
        var batches = 0
        var records = 0
        var processing = Duration.zero
    }

    private let isShown: Bool
    private let totals = Mutex(Totals())

    init(isShown: Bool) { self.isShown = isShown }

    func onBatchCompleted(_ info: BatchInfo) {
        totals.withLock { totals in
            totals.batches += 1
            totals.records += info.recordCount
            totals.processing += info.processingDelay ?? .zero
        }
        guard isShown else { return }
        let processing = info.processingDelay?.milliseconds ?? 0
        let total = info.totalDelay?.milliseconds ?? 0
        print(
            "[batch \(info.batchTime)] \(info.recordCount) records, "
                + "processing \(processing) ms, total delay \(total) ms")
    }

    func onReceiverError(_ info: ReceiverInfo) {
        print("[receiver \(info.name)] \(info.lastErrorMessage ?? "failed")")
    }

    func printSummary(_ report: StreamingContext.StopReport) {
        let totals = totals.withLock { $0 }
        let mean =
            totals.batches == 0 ? 0 : totals.processing.milliseconds / Int64(totals.batches)
        print(
            """

            \(totals.batches) batches, \(totals.records) records, \
            mean processing time \(mean) ms; \(report)
            """)
    }
}
