public import BatchEngine
public import DStreamCore
internal import Synchronization

/// Names the blocks of one stream: by time, as Spark does, and never the same twice.
public final class BlockNumbering: Sendable {
    /// The stream whose blocks are named.
    public let streamID: StreamID
    private let last: Locked<Int64>

    /// Begins to number.
    ///
    /// - Parameter number: the highest one that an earlier run gave; nil: there is none.
    public init(streamID: StreamID, after number: Int64? = nil) {
        self.streamID = streamID
        last = Locked(number ?? .min)
    }

    /// The name for a time, or the next free one after the last.
    public func next(preferring time: BatchTime) -> BlockID {
        let number = last.withLock { last in
            last = max(time.milliseconds, last == .max ? last : last + 1)
            return last
        }
        return .input(stream: streamID.rawValue, number)
    }
}
