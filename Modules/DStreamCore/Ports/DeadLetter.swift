public import BatchEngine

/// What is kept of an output operation that failed for good: enough to run it again by hand.
public struct DeadLetter: Sendable, Hashable {
    /// Which failure a dead letter is of: one per batch and operation.
    public struct ID: Sendable, Hashable {
        /// The batch.
        public var batchTime: BatchTime
        /// The operation, as ``OutputOperation`` names it in every run of the program.
        public var operationID: String

        /// Makes an identity.
        public init(batchTime: BatchTime, operationID: String) {
            self.batchTime = batchTime
            self.operationID = operationID
        }
    }

    /// What there is to know of a dead letter without its elements.
    public struct Entry: Sendable, Hashable, CustomStringConvertible {
        /// Batch and operation.
        public var id: ID
        /// The operation's place in the user's source when it failed.
        public var site: String
        /// Why it failed: operator, task and error.
        public var reason: String
        /// How often the operation was tried.
        public var attempts: Int
        /// Whether the elements are those that the operation was given; otherwise they are what
        /// the batch's input streams gave, as the streams in between failed.
        public var isOutput: Bool
        /// How many elements are kept.
        public var elementCount: Int
        /// How many parts of inputs, files or ranges of offsets, could not be read and are kept by
        /// name only.
        public var unreadCount: Int

        /// Makes a description.
        public init(
            id: ID, site: String, reason: String, attempts: Int, isOutput: Bool, elementCount: Int,
            unreadCount: Int = 0
        ) {
            self.id = id
            self.site = site
            self.reason = reason
            self.attempts = attempts
            self.isOutput = isOutput
            self.elementCount = elementCount
            self.unreadCount = unreadCount
        }

        /// Batch, operation, number of elements and reason in one line.
        public var description: String {
            "batch \(id.batchTime): \(site), \(elementCount) \(isOutput ? "" : "input ")elements, "
                + (unreadCount > 0 ? "\(unreadCount) unread, " : "")
                + "\(attempts) attempt\(attempts == 1 ? "" : "s"): \(reason)"
        }
    }

    /// Encoded elements of one type, in their partitions.
    public struct Elements: Sendable, Hashable {
        /// The shape name of their codec.
        public var shape: String
        /// The elements of each partition.
        public var partitions: [EncodedValues]

        /// Makes it.
        public init(shape: String, partitions: [EncodedValues]) {
            self.shape = shape
            self.partitions = partitions
        }

        /// How many there are.
        public var count: Int { partitions.reduce(0) { $0 + $1.count } }

        /// The elements, in partition order.
        ///
        /// - Parameter codec: nil: the one of the type.
        /// - Throws: ``StreamError`` `.codecMissing` when the type has none or is not the one that
        ///   was written, ``CodecError`` for bytes that are no elements.
        public func decode<Element>(
            as type: Element.Type = Element.self, codec: Codec<Element>? = nil
        ) throws -> [Element] {
            guard let codec = codec ?? Codec<Element>.resolve() else {
                throw StreamError(
                    .codecMissing, "\(type) has no codec; declare the type StreamCodable")
            }
            guard codec.shape == shape else {
                throw StreamError(
                    .codecMissing, "the elements were written as \(shape), not as \(codec.shape)")
            }
            var elements: [Element] = []
            for partition in partitions {
                try partition.forEach { elements.append(try codec.decode(&$0)) }
            }
            return elements
        }
    }

    /// A part of an input that could not be read: a file, or a range of offsets.
    ///
    /// There are no elements; a replay reads the part again, if it can be read by then.
    public struct UnreadPart: Sendable, Hashable {
        /// The file's path, or partition and offsets.
        public var name: String
        /// Why it could not be read.
        public var reason: String
        /// What a task is given to read it.
        public var part: EncodedValues

        /// Makes it.
        public init(name: String, reason: String, part: EncodedValues) {
            self.name = name
            self.reason = reason
            self.part = part
        }
    }

    /// What an input stream gave to the batch.
    public struct Input: Sendable, Hashable {
        /// The input stream's number, from 0 in declaration order.
        public var stream: StreamID
        /// The stream's operator, without its place.
        public var name: String
        /// What it gave; nil: no RDD, or what it gave could not be had any more.
        public var elements: Elements?
        /// Why its elements are missing; nil: they are not.
        public var problem: String?
        /// Files or ranges of offsets of the batch that could not be read.
        public var unread: [UnreadPart]

        /// Makes it.
        public init(
            stream: StreamID, name: String, elements: Elements?, problem: String? = nil,
            unread: [UnreadPart] = []
        ) {
            self.stream = stream
            self.name = name
            self.elements = elements
            self.problem = problem
            self.unread = unread
        }
    }

    /// The elements that are kept.
    public enum Contents: Sendable, Hashable {
        /// Those that the operation was given.
        case output(Elements)
        /// Those of the input streams below it, as what the operation was to be given could not be
        /// computed.
        case inputs([Input])

        /// How many there are.
        public var count: Int {
            switch self {
            case .output(let elements): elements.count
            case .inputs(let inputs): inputs.reduce(0) { $0 + ($1.elements?.count ?? 0) }
            }
        }

        /// How many parts of inputs could not be read.
        public var unreadCount: Int {
            switch self {
            case .output: 0
            case .inputs(let inputs): inputs.reduce(0) { $0 + $1.unread.count }
            }
        }
    }

    /// Batch, operation and reason.
    public var entry: Entry
    /// The elements.
    public var contents: Contents

    /// Makes a dead letter.
    public init(
        id: ID, site: String, reason: String, attempts: Int, contents: Contents
    ) {
        var isOutput = false
        if case .output = contents { isOutput = true }
        entry = Entry(
            id: id, site: site, reason: reason, attempts: attempts, isOutput: isOutput,
            elementCount: contents.count, unreadCount: contents.unreadCount)
        self.contents = contents
    }
}
