public import BatchEngine
public import DStreamCore

/// A receiver and the stream it feeds, with its element type forgotten.
public struct ReceiverRegistration: Sendable {
    /// Makes what stores the blocks of a stream.
    public typealias MakeHandler =
        @Sendable (StreamID, StorageLevel, ErasedCodec?) -> any ReceivedBlockHandler

    /// The stream.
    public let streamID: StreamID
    /// The receiver's name.
    public let name: String
    /// Where received blocks are kept.
    public let storageLevel: StorageLevel
    /// How the elements become bytes; nil: they cannot.
    public let codec: ErasedCodec?
    /// Whether the receiver has a thread of its own in this process.
    package private(set) var hasThread: Bool
    /// The shape or type name of the elements, for messages.
    public let elementName: String
    private(set) var makeSupervisor: @Sendable (ReceiverEnvironment) throws -> any Supervisor
    /// What of the receiver's settings cannot work.
    private let problem: String?
    private let makeService: @Sendable (ReceiverConfiguration, any StreamClock) -> WorkerService

    /// Registers a receiver.
    public init<Source: Receiver>(_ receiver: Source, streamID: StreamID) {
        self.streamID = streamID
        name = receiver.name
        storageLevel = receiver.storageLevel
        hasThread = receiver.mayBlock
        codec = Codec<Source.Element>.resolve().map { ErasedCodec($0) }
        elementName = "\(Source.Element.self)"
        problem = (receiver as? any CheckedReceiver)?.problem
        makeSupervisor = { environment in
            try ReceiverSupervisor(receiver, streamID: streamID, environment: environment)
        }
        makeService = { configuration, clock in
            let worker = WorkerReceiver(
                receiver: receiver, streamID: streamID, configuration: configuration, clock: clock)
            return { try await worker.serve($0) }
        }
    }

    /// The number under which an engine knows the receiver as a service.
    package var serviceNumber: Int { Int(streamID.rawValue) }

    /// The receiver as it runs in a worker.
    package func service(
        _ configuration: ReceiverConfiguration, _ clock: any StreamClock
    ) -> WorkerService {
        makeService(configuration, clock)
    }

    /// The same receiver in a worker process of its own, seen from the driver.
    package func inWorker(of engine: any ServiceEngine) -> ReceiverRegistration {
        var registration = self
        registration.hasThread = false
        let (name, streamID) = (name, streamID)
        registration.makeSupervisor = { environment in
            WorkerReceiverSupervisor(
                name, streamID: streamID, engine: engine, environment: environment)
        }
        return registration
    }

    /// Checks the receiver's settings, and that blocks can be kept at its level.
    ///
    /// - Throws: ``ReceiverError/Code/badConfiguration``, ``ReceiverError/Code/codecMissing``.
    public func validate() throws(ReceiverError) {
        if let problem { throw ReceiverError(.badConfiguration, "receiver \(name): \(problem)") }
        if storageLevel.needsCodec, codec == nil {
            throw ReceiverError(
                .codecMissing,
                "receiver \(name) keeps blocks as bytes (\(storageLevel)) and \(elementName) has "
                    + "no codec; declare the type StreamCodable or use .memoryOnly")
        }
    }
}
