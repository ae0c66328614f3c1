package import DStreamCore

/// Which batches were begun and are not done: the bookkeeping of a generator.
///
/// A batch is *pending* from the moment it is begun, or known from a checkpoint, until it completes.
/// It is *unfinished* while its jobs are being made or run. A failed one is pending only.
package struct BatchLedger: Sendable, Hashable {
    /// Batches begun and not completed, ascending.
    package private(set) var pending: [BatchTime]
    /// Batches whose jobs are being made or run.
    package private(set) var unfinished: Set<BatchTime> = []
    /// The latest batch begun so far, here or before the restart.
    package private(set) var newest: BatchTime
    /// The latest batch that has completed, here or before the restart; nil: none has.
    package private(set) var newestCompleted: BatchTime?
    /// Failed batches in the order of their failing.
    private var failed: [BatchTime] = []
    /// Batches that have failed and are pending: a restart runs them again, this process does not.
    package private(set) var failedSet: Set<BatchTime> = []
    private let failedMaximum: Int

    /// Makes a ledger.
    ///
    /// - Parameters:
    ///   - pending: batches that a checkpoint lists as pending.
    ///   - newest: the latest batch begun before.
    ///   - newestCompleted: the latest batch that completed before.
    ///   - failedMaximum: how many failed batches are kept, 1 or more.
    package init(
        pending: [BatchTime], newest: BatchTime, newestCompleted: BatchTime? = nil,
        failedMaximum: Int
    ) {
        self.newestCompleted = newestCompleted
        self.pending = Set(pending).sorted()
        self.newest = max(newest, pending.max() ?? newest)
        self.failedMaximum = max(1, failedMaximum)
    }

    /// The oldest batch that this process still has to run: its input must stay in memory.
    ///
    /// Failed batches do not count: of their input, only what a restart needs is kept.
    package var oldestToRun: BatchTime? { pending.first { !failedSet.contains($0) } }

    /// Whether the newest batch has completed.
    package var isNewestCompleted: Bool { pending.last != newest }

    /// Notes that a batch's jobs are being made.
    package mutating func begin(_ batch: BatchTime) {
        unfinished.insert(batch)
        newest = max(newest, batch)
        let index = position(of: batch)
        if index == pending.endIndex || pending[index] != batch {
            pending.insert(batch, at: index)
        }
    }

    /// Notes that a batch is done.
    package mutating func complete(_ batch: BatchTime) {
        unfinished.remove(batch)
        newestCompleted = max(newestCompleted ?? batch, batch)
        remove(batch)
    }

    /// Notes that a batch failed.
    ///
    /// - Returns: the batch that is given up for it, when too many have failed.
    package mutating func fail(_ batch: BatchTime) -> BatchTime? {
        unfinished.remove(batch)
        failed.append(batch)
        failedSet.insert(batch)
        guard failed.count > failedMaximum else { return nil }
        let oldest = failed.removeFirst()
        failedSet.remove(oldest)
        remove(oldest)
        return oldest
    }

    /// Notes that a batch was not run and will not be by this process.
    package mutating func leave(_ batch: BatchTime) {
        unfinished.remove(batch)
    }

    private mutating func remove(_ batch: BatchTime) {
        let index = position(of: batch)
        guard index < pending.endIndex, pending[index] == batch else { return }
        pending.remove(at: index)
    }

    /// The index of the first pending batch that is not before `batch`.
    private func position(of batch: BatchTime) -> Int {
        // Nearly always one of the two ends.
        if let last = pending.last, last < batch { return pending.endIndex }
        var low = 0
        var high = pending.count
        while low < high {
            let middle = (low + high) / 2
            if pending[middle] < batch { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
