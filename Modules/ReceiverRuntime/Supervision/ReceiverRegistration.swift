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
    /// The shape or type name of the elements, for messages.
    public let elementName: String
    let makeSupervisor: @Sendable (ReceiverEnvironment) throws -> any Supervisor

    /// Registers a receiver.
    public init<Source: Receiver>(_ receiver: Source, streamID: StreamID) {
        self.streamID = streamID
        name = receiver.name
        storageLevel = receiver.storageLevel
        codec = Codec<Source.Element>.resolve().map { ErasedCodec($0) }
        elementName = "\(Source.Element.self)"
        makeSupervisor = { environment in
            try ReceiverSupervisor(receiver, streamID: streamID, environment: environment)
        }
    }

    /// Checks that blocks can be kept at the receiver's level.
    ///
    /// - Throws: ``ReceiverError/Code/codecMissing``.
    public func validate() throws(ReceiverError) {
        if storageLevel.needsCodec, codec == nil {
            throw ReceiverError(
                .codecMissing,
                "receiver \(name) keeps blocks as bytes (\(storageLevel)) and \(elementName) has "
                    + "no codec; declare the type StreamCodable or use .memoryOnly")
        }
    }
}
