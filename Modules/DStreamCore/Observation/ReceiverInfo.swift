/// What is known of a receiver when it starts, fails or stops.
public struct ReceiverInfo: Sendable, Hashable {
    /// The input stream the receiver feeds.
    public let streamID: StreamID
    /// The name of the receiver, such as `SocketReceiver-0`.
    public let name: String
    /// Whether the receiver is running.
    public let isActive: Bool
    /// The machine it runs on.
    public let location: String
    /// The process it runs in.
    public let executorID: String
    /// The message of its last error, nil if there was none.
    public let lastErrorMessage: String?
    /// The last error itself as text, nil if there was none.
    public let lastError: String?
    /// When the last error came, nil if there was none.
    public let lastErrorTime: BatchTime?

    /// Creates the information.
    ///
    /// - Parameters:
    ///   - streamID: the input stream it feeds.
    ///   - name: its name.
    ///   - isActive: whether it is running.
    ///   - location: the machine it runs on.
    ///   - executorID: the process it runs in.
    ///   - lastErrorMessage: the message of its last error.
    ///   - lastError: the last error as text.
    ///   - lastErrorTime: when the last error came.
    public init(
        streamID: StreamID, name: String, isActive: Bool, location: String, executorID: String,
        lastErrorMessage: String? = nil, lastError: String? = nil, lastErrorTime: BatchTime? = nil
    ) {
        self.streamID = streamID
        self.name = name
        self.isActive = isActive
        self.location = location
        self.executorID = executorID
        self.lastErrorMessage = lastErrorMessage
        self.lastError = lastError
        self.lastErrorTime = lastErrorTime
    }
}
