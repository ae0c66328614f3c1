public import DStreamCore
internal import Synchronization

/// Keeps what each input stream gave to each batch, until the batch is forgotten.
///
/// ## Isolation
/// Callable from any thread; nothing suspends.
public final class InputInfoTracker: InputInfoReporting {
    private let batches = Mutex<[BatchTime: [StreamID: StreamInputInfo]]>([:])

    /// Makes an empty tracker.
    public init() {}

    /// Notes what a stream gave; a second report for the same stream and batch is ignored.
    public func report(_ info: StreamInputInfo, at time: BatchTime) {
        batches.withLock { batches in
            if batches[time]?[info.inputStreamID] != nil { return }
            batches[time, default: [:]][info.inputStreamID] = info
        }
    }

    /// What the streams gave to a batch; empty when nothing was reported.
    public func info(at time: BatchTime) -> [StreamID: StreamInputInfo] {
        batches.withLock { $0[time] ?? [:] }
    }

    /// Forgets the batches before `threshold`.
    ///
    /// - Complexity: O(n) in the batches kept.
    public func clear(before threshold: BatchTime) {
        batches.withLock { batches in
            for time in batches.keys where time < threshold { batches[time] = nil }
        }
    }

    /// The batches of which something is kept, ascending.
    public var times: [BatchTime] { batches.withLock { $0.keys.sorted() } }
}
