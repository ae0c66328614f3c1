public import BatchEngine
internal import Synchronization

/// Who is told what operators report; nobody before a context says so.
final class EventReports: Sendable {
    let notify = Locked<(@Sendable (StreamEvent) -> Void)?>(nil)

    func post(_ event: StreamEvent) { notify.withLock { $0 }?(event) }
}

/// Counts the records of each batch that one operator could not parse, and reports them.
///
/// Each output operation that uses the values parses them for itself. What is reported is the most that one
/// stage of the batch has met, so that a record is not counted once for each operation.
@usableFromInline
package final class RejectedRecords: SharedSum {
    /// What one task has met.
    struct Tally: Codable, StreamCodable {
        var batch: Int64?
        var stage: String
        var partition: Int
        var count = 0
        /// The first error, in words.
        var reason = ""
    }

    private struct Batch {
        let time: Int64
        var counts: [String: [Int: Int]] = [:]
        /// What is known and not reported, and the reason of one of them.
        var fresh = 0
        var reason = ""
        /// The most of one stage.
        var most = 0

        mutating func add(_ tally: Tally) {
            counts[tally.stage, default: [:]][tally.partition] = tally.count
            let total = counts[tally.stage]?.values.reduce(0, +) ?? 0
            if total <= most { return }
            if fresh == 0 { reason = tally.reason }
            fresh += total - most
            most = total
        }
    }

    /// Batches beyond are forgotten, the oldest first.
    private static let batchMaximum = 100

    private let site: OperatorSite
    private let reports: EventReports
    private let batches = Locked<[Batch]>([])

    @usableFromInline
    init(_ site: OperatorSite, _ graph: DStreamGraph) {
        self.site = site
        reports = graph.reports
        graph.add(self)
    }

    /// Notes a record in the task that met it.
    @usableFromInline
    func note(_ error: any Error, in context: TaskContext) {
        let update = context.pendingUpdate(of: ObjectIdentifier(self)) {
            Update(
                self,
                Tally(
                    batch: context.batchMilliseconds, stage: "\(context.stage)",
                    partition: context.partition))
        }
        update.tally.withLock { tally in
            if tally.count == 0 { tally.reason = "\(error)" }
            tally.count += 1
        }
    }

    @usableFromInline
    package func update(from amount: EncodedValues) throws -> any PendingUpdate {
        let update = Update(self, Tally(stage: "", partition: 0))
        let pipe = Pipe<Tally>.source(site)
        try pipe.run(TaskContext(partition: 0), [.encoded(amount)]) { tally in
            update.tally.withLock { $0 = tally }
        }
        return update
    }

    private func count(_ tally: Tally) {
        // Outside a batch, as when a slice is read, nothing is left out of one.
        guard let time = tally.batch else { return }
        batches.withLock { batches in
            let index = batches.firstIndex { $0.time == time } ?? batches.endIndex
            if index == batches.endIndex { batches.append(Batch(time: time)) }
            batches[index].add(tally)
            if batches.count > Self.batchMaximum { batches.removeFirst() }
        }
    }

    private func report() {
        let fresh = batches.withLock { batches in
            var fresh: [Batch] = []
            for index in batches.indices where batches[index].fresh > 0 {
                fresh.append(batches[index])
                batches[index].fresh = 0
            }
            return fresh
        }
        for batch in fresh {
            reports.post(
                .recordsRejected(
                    time: BatchTime(milliseconds: batch.time), operatorName: "\(site)",
                    count: batch.fresh, reason: batch.reason))
        }
    }

    private final class Update: PendingUpdate {
        let owner: ObjectIdentifier
        let rejected: RejectedRecords
        let tally: Locked<Tally>

        init(_ rejected: RejectedRecords, _ tally: Tally) {
            owner = ObjectIdentifier(rejected)
            self.rejected = rejected
            self.tally = Locked(tally)
        }

        func commit() { rejected.count(tally.withLock { $0 }) }

        func wereCommitted() { rejected.report() }

        func encoded() throws -> EncodedValues { try Values([tally.withLock { $0 }]).encoded() }
    }
}
