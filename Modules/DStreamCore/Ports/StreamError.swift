public import BatchEngine

/// Why a stream could not be declared, generated or run.
public struct StreamError: Error, CustomStringConvertible {
    /// What went wrong.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case badDeclaration, badWindow, badInterval, slideMismatch, contextMismatch
            case noOutput, noInput, checkpointDirectoryMissing, checkpointInterval
            case alreadyStarted, alreadyStopped, rememberAlreadySet
            case noParentRDD, generationFailed, outputFailed, notStarted, declarations
            case codecMissing, badConfiguration, checkpointUnwritable, checkpointMismatch
            case checkpointUnreadable
            case drainIncomplete, receiverFailed, notSupported
            case stateNotSet, stateRemoved, stateTimingOut
            case fileUnreadable, sinkUnusable, offsetsUnreadable, inputNotReplayable
            case deadLetterDirectoryMissing, deadLetterIncomplete, deadLetterUnwritable
            case deadLetterNotReplayable, statePassed, engineUnusable, recordsRejected
        }
        private let kind: Kind
        private init(_ kind: Kind) { self.kind = kind }

        /// The code with a name, as another process tells it.
        init?(name: String) {
            guard let kind = Kind(rawValue: name) else { return nil }
            self.kind = kind
        }

        /// An operator's argument makes no sense; mend the call.
        public static let badDeclaration = Code(.badDeclaration)
        /// A window or slide that is not a positive multiple of the parent's slide.
        public static let badWindow = Code(.badWindow)
        /// An interval that is zero, negative or not whole milliseconds.
        public static let badInterval = Code(.badInterval)
        /// Streams with different slides were joined in one operator.
        public static let slideMismatch = Code(.slideMismatch)
        /// Streams of two contexts were joined in one operator.
        public static let contextMismatch = Code(.contextMismatch)
        /// Nothing is output, so there is nothing to run.
        public static let noOutput = Code(.noOutput)
        /// An operator over several streams was given none.
        public static let noInput = Code(.noInput)
        /// State or an inverse window needs `checkpoint(_:)`.
        public static let checkpointDirectoryMissing = Code(.checkpointDirectoryMissing)
        /// A checkpoint interval that does not fit the stream's slide.
        public static let checkpointInterval = Code(.checkpointInterval)
        /// The context was started: nothing can be declared any more.
        public static let alreadyStarted = Code(.alreadyStarted)
        /// The context was stopped: it can neither start nor take declarations.
        public static let alreadyStopped = Code(.alreadyStopped)
        /// `remember(_:)` was called a second time.
        public static let rememberAlreadySet = Code(.rememberAlreadySet)
        /// A parent gave no RDD for a batch and the operator needs one; other batches go on.
        public static let noParentRDD = Code(.noParentRDD)
        /// A batch could not be generated; the underlying error says why.
        public static let generationFailed = Code(.generationFailed)
        /// An output operation failed, so its batch does not count as done.
        ///
        /// The underlying error says why.
        public static let outputFailed = Code(.outputFailed)
        /// The graph has no times before it is started.
        public static let notStarted = Code(.notStarted)
        /// Several declarations were bad: see the message.
        public static let declarations = Code(.declarations)
        /// Elements must become bytes here and have no codec.
        ///
        /// Declare the type `StreamCodable`.
        public static let codecMissing = Code(.codecMissing)
        /// A configuration value that cannot work.
        public static let badConfiguration = Code(.badConfiguration)
        /// The checkpoint directory cannot be written.
        public static let checkpointUnwritable = Code(.checkpointUnwritable)
        /// The checkpoint does not fit this program.
        public static let checkpointMismatch = Code(.checkpointMismatch)
        /// Checkpoints, or logs that they rely on, cannot be read or have lost something.
        public static let checkpointUnreadable = Code(.checkpointUnreadable)
        /// The deadline of a graceful stop passed; the message says what was not drained.
        public static let drainIncomplete = Code(.drainIncomplete)
        /// A receiver could not be started.
        public static let receiverFailed = Code(.receiverFailed)
        /// A state was read that does not exist; ask `exists` first, or `getOption()`.
        public static let stateNotSet = Code(.stateNotSet)
        /// A state was updated or removed after it had been removed in the same call.
        public static let stateRemoved = Code(.stateRemoved)
        /// A state was updated or removed in the call that says that it times out.
        public static let stateTimingOut = Code(.stateTimingOut)
        /// A file of a file stream is gone, cannot be read, is compressed, or has no whole number
        /// of records; its batch does not count as done, and running it again reads all its files.
        public static let fileUnreadable = Code(.fileUnreadable)
        /// Records behind offsets are gone, or cannot be read; the message says which, and what to do.
        public static let offsetsUnreadable = Code(.offsetsUnreadable)
        /// A restart would run a batch again without what its input gave, which cannot be had again;
        /// forget that with `inspect inputs forget`, or begin with an empty checkpoint directory.
        public static let inputNotReplayable = Code(.inputNotReplayable)
        /// A transactional sink cannot be used by this run; the underlying error says why.
        public static let sinkUnusable = Code(.sinkUnusable)
        /// `.deadLetter` needs a directory: configure one, or call `checkpoint(_:)`.
        public static let deadLetterDirectoryMissing = Code(.deadLetterDirectoryMissing)
        /// A dead letter could not have its elements, so it was not written; the batch stays
        /// pending and the stream stops.
        public static let deadLetterIncomplete = Code(.deadLetterIncomplete)
        /// The directory of dead letters cannot be used.
        public static let deadLetterUnwritable = Code(.deadLetterUnwritable)
        /// A dead letter cannot be run again by this program, and stays; the message says why.
        public static let deadLetterNotReplayable = Code(.deadLetterNotReplayable)
        /// The state has advanced beyond a batch that failed before a restart; its input is kept as
        /// a dead letter.
        public static let statePassed = Code(.statePassed)
        /// Records of a batch could not be parsed; they are in its dead letter.
        public static let recordsRejected = Code(.recordsRejected)
        /// The engine cannot run this program, or none of its workers can be started.
        public static let engineUnusable = Code(.engineUnusable)
        /// What was asked is not there yet.
        public static let notSupported = Code(.notSupported)
        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// What went wrong.
    public let code: Code
    /// The same in words: what, where and what to do.
    public let message: String
    /// The place in the user's source.
    public let site: OperatorSite?
    /// The batch, when one is concerned.
    public let batchTime: BatchTime?
    /// The number of the output operation, from 0, when one is concerned.
    public let outputOperation: Int?
    /// The error below.
    public let underlying: (any Error)?
    /// The single errors, when this one gathers several declarations.
    public let parts: [StreamError]
    /// What followed, when a batch has failed.
    public package(set) var policy: FailurePolicy?

    /// Makes an error.
    public init(
        _ code: Code, _ message: String, site: OperatorSite? = nil, batchTime: BatchTime? = nil,
        outputOperation: Int? = nil, underlying: (any Error)? = nil, parts: [StreamError] = []
    ) {
        self.code = code
        self.message = message
        self.site = site
        self.batchTime = batchTime
        self.outputOperation = outputOperation
        self.underlying = underlying
        self.parts = parts
    }

    /// One error for all of `parts`; the error itself when there is one.
    public static func gathering(_ parts: [StreamError]) -> StreamError? {
        if parts.count < 2 { return parts.first }
        let lines = parts.map { "  - \($0)" }.joined(separator: "\n")
        return StreamError(
            .declarations, "\(parts.count) declarations cannot work:\n\(lines)", parts: parts)
    }

    /// Message, place and cause.
    public var description: String {
        var text = "\(code): \(message)"
        if let batchTime { text += " [batch \(batchTime)]" }
        if let outputOperation { text += " [output operation \(outputOperation)]" }
        if let site { text += " [\(site)]" }
        if let underlying { text += ": \(underlying)" }
        return text
    }
}

extension StreamError: CodedError {
    package var codeName: String { code.description }
}
