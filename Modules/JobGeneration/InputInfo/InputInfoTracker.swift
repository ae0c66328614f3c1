internal import BatchEngine
public import DStreamCore
internal import Synchronization

/// Keeps what each input stream gave to each batch, until the batch is forgotten.
///
/// ## Isolation
/// Callable from any thread; nothing suspends.
public final class InputInfoTracker: InputReporting {
    private struct State {
        var batches: [BatchTime: [StreamID: StreamInputInfo]] = [:]
        /// The keys, ascending: batches come nearly in order, and go from the front.
        var times: [BatchTime] = []
    }

    private let state = Locked(State())

    /// Makes an empty tracker.
    public init() {}

    /// Notes what a stream gave; a second report for the same stream and batch is ignored.
    public func report(_ info: StreamInputInfo, at time: BatchTime) {
        state.withLock { state in
            if state.batches[time]?[info.inputStreamID] != nil { return }
            if state.batches[time] == nil {
                let index = state.times.lastIndex { $0 < time }.map { $0 + 1 } ?? 0
                state.times.insert(time, at: index)
            }
            state.batches[time, default: [:]][info.inputStreamID] = info
        }
    }

    /// What the streams gave to a batch; empty when nothing was reported.
    public func info(at time: BatchTime) -> [StreamID: StreamInputInfo] {
        state.withLock { $0.batches[time] ?? [:] }
    }

    /// Forgets the batches before `threshold`.
    public func clear(before threshold: BatchTime) {
        state.withLock { state in
            let old = state.times.prefix { $0 < threshold }
            for time in old { state.batches[time] = nil }
            state.times.removeFirst(old.count)
        }
    }

    /// The batches of which something is kept, ascending.
    public var times: [BatchTime] { state.withLock { $0.times } }
}
