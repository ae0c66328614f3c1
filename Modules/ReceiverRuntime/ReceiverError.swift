/// Why a receiver, a block or the tracker could not do what was asked.
public struct ReceiverError: Error, CustomStringConvertible {
    /// What went wrong.
    ///
    /// More kinds may be added: keep a default branch where you switch over them.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case notActive, stopped, restartRequested, connectionEnded, badFrame, badConfiguration
            case cleanupTooEarly, codecMissing, notStored
        }
        private let kind: Kind

        /// Data was added before the block generator was started or after it was stopped.
        ///
        /// It was not stored. Trying again does not help.
        public static let notActive = Code(kind: .notActive)
        /// The receiver asked to be stopped; thrown to unwind its `run`.
        public static let stopped = Code(kind: .stopped)
        /// The receiver asked to be restarted; thrown to unwind its `run`.
        public static let restartRequested = Code(kind: .restartRequested)
        /// The other side ended the connection; what had arrived is stored.
        public static let connectionEnded = Code(kind: .connectionEnded)
        /// A frame has a length or contents that cannot be; frames before it are stored.
        public static let badFrame = Code(kind: .badFrame)
        /// A configuration value that cannot work.
        public static let badConfiguration = Code(kind: .badConfiguration)
        /// Batches were to be released that lie in the future; nothing was released.
        public static let cleanupTooEarly = Code(kind: .cleanupTooEarly)
        /// Elements must become bytes and have no codec: declare the type `StreamCodable`.
        public static let codecMissing = Code(kind: .codecMissing)
        /// The driver did not store a block that a receiver in a worker sent; the message says why.
        public static let notStored = Code(kind: .notStored)
        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// What went wrong.
    public let code: Code
    /// The same in words.
    public let message: String
    /// The error below.
    public let underlying: (any Error)?

    /// Makes an error.
    public init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    /// Message and cause.
    public var description: String {
        guard let underlying else { return message }
        return message.isEmpty ? "\(underlying)" : "\(message): \(underlying)"
    }
}

extension ReceiverError {
    /// The error of an addition to a generator that takes none.
    static var notActive: ReceiverError {
        ReceiverError(
            .notActive,
            "data cannot be added: the block generator has not been started or has been stopped")
    }
}
