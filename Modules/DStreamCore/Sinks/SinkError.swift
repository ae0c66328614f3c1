/// Why a transactional sink could not take a batch, or be used at all.
public struct SinkError: Error, CustomStringConvertible {
    /// What went wrong.
    ///
    /// More kinds may be added: keep a default branch where you switch over them.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case closed, locked, full, busy, rejected, damaged, unsupported, misused, failed
        }
        private let kind: Kind
        /// The sink was closed, or not opened yet.
        public static let closed = Code(kind: .closed)
        /// Another program, or another sink of this one, writes to the same place.
        public static let locked = Code(kind: .locked)
        /// There is no room; works again once there is.
        public static let full = Code(kind: .full)
        /// Others kept the place busy for longer than the sink waits.
        public static let busy = Code(kind: .busy)
        /// The data break a rule of the place, such as a constraint of a table.
        public static let rejected = Code(kind: .rejected)
        /// What the sink keeps about its batches is not what was written; restore it.
        public static let damaged = Code(kind: .damaged)
        /// It was written by a newer version of this package.
        public static let unsupported = Code(kind: .unsupported)
        /// The sink was given something that cannot work.
        public static let misused = Code(kind: .misused)
        /// Anything else; the underlying error says what.
        public static let failed = Code(kind: .failed)
        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// What went wrong.
    public let code: Code
    /// The sink's ``TransactionalSink/id``.
    public let sink: String
    /// The batch, when one is concerned.
    public let batch: BatchTime?
    /// The same in words: what, and what to do.
    public let message: String
    /// The error below.
    public let underlying: (any Error)?

    /// Makes an error.
    public init(
        _ code: Code, sink: String, batch: BatchTime? = nil, _ message: String,
        underlying: (any Error)? = nil
    ) {
        self.code = code
        self.sink = sink
        self.batch = batch
        self.message = message
        self.underlying = underlying
    }

    /// Code, sink, batch and cause.
    public var description: String {
        var text = "\(code): sink \(sink)"
        if let batch { text += ", batch \(batch)" }
        text += ": \(message)"
        if let underlying { text += ": \(underlying)" }
        return text
    }
}
