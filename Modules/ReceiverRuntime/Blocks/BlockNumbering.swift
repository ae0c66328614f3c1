public import BatchEngine
public import DStreamCore
internal import Synchronization

/// Names the blocks of one stream: by time, as Spark does, and never the same twice.
public final class BlockNumbering: Sendable {
    /// The stream whose blocks are named.
    public let streamID: StreamID
    private let last = Locked(Int64.min)

    /// Begins to number.
    public init(streamID: StreamID) {
        self.streamID = streamID
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
