public import BatchEngine
internal import DStreamCore

/// Receives lines of text from a TCP server: `\n`, `\r\n` and `\r` each end a line.
///
/// Bytes go from the socket into blocks of lines; no string is made before an operator asks for
/// one. When the connection cannot be made or ends, the receiver is started again after the restart
/// delay, with an error that names host and port; lines that had arrived are kept.
///
/// Of a line that was being received when the connection ended, what had arrived is a line; when
/// the connection was lost with an error, it is dropped.
public struct SocketReceiver: Receiver {
    /// The bytes of lines that are gathered at most before they are handed on.
    static let chunkBytes = 256 << 10
    /// The bytes that are read at most before others that wait for sockets are served.
    static let turnBytes = 1 << 20
    /// Fewer bytes than this at a time are a trickle: more are waited for.
    static let trickleBytes = 16 << 10
    /// How long a trickle is waited for at most.
    static let restMaximum = Duration.milliseconds(10)

    /// A name or numeric address.
    public let host: String
    /// 1 to 65535.
    public let port: Int
    /// The longest line in bytes, without its end.
    public let maxLineBytes: Int
    /// What happens to longer lines; an event tells how many there were.
    public let longLines: LineSplitter.LongLinePolicy
    /// Where received blocks are kept.
    public let storageLevel: StorageLevel
    /// How long connecting may take.
    public let connectTimeout: Duration

    /// Creates a receiver.
    ///
    /// - Parameters:
    ///   - host: a name or numeric address.
    ///   - port: 1 to 65535.
    ///   - maxLineBytes: the longest line, at least 1; bounds the memory of a line without end.
    ///   - longLines: what happens to longer lines.
    ///   - storageLevel: where received blocks are kept.
    ///   - connectTimeout: how long connecting may take.
    public init(
        host: String, port: Int, maxLineBytes: Int = 1 << 20,
        longLines: LineSplitter.LongLinePolicy = .truncate,
        storageLevel: StorageLevel = .memoryOnly, connectTimeout: Duration = .seconds(10)
    ) {
        self.host = host
        self.port = port
        self.maxLineBytes = maxLineBytes
        self.longLines = longLines
        self.storageLevel = storageLevel
        self.connectTimeout = connectTimeout
    }

    /// It only suspends, on the thread that waits for sockets.
    public var mayBlock: Bool { false }

    /// Connects and receives until the connection ends.
    public func run(_ output: ReceiverOutput<String>) async throws {
        // Without it, where no context has started it, nobody could be told that there is none.
        try IOThread.shared.prepare()
        // On the thread that waits for sockets: the next bytes then cost no change of thread.
        try await withTaskExecutorPreference(IOThread.shared) {
            let connection = try await TCPConnection.connect(
                host: host, port: port, timeout: connectTimeout)
            defer { connection.close() }
            try await receive(from: connection, output)
        }
    }

    private func receive(
        from connection: TCPConnection, _ output: ReceiverOutput<String>
    ) async throws {
        var splitter = LineSplitter(maxLineBytes: max(1, maxLineBytes), longLines: longLines)
        var reported = LineSplitter.Counters()
        let mayRest = output.configuration.blockInterval >= .milliseconds(4)
        var (received, turn) = (0, 0)
        while true {
            var outcome = TCPConnection.Received.nothingYet
            do {
                try splitter.append { room throws(SystemError) in
                    outcome = try connection.receive(into: room)
                    if case .bytes(let count) = outcome { return count }
                    return 0
                }
            } catch {
                try await store(splitter.cut(), output)
                throw error
            }
            switch outcome {
            case .bytes(let count):
                received += count
                turn += count
                // A line without an end fills no chunk.
                guard splitter.byteCount >= Self.chunkBytes || turn >= Self.turnBytes else {
                    continue
                }
                turn = 0
                try await store(splitter.cut(), output)
                // Others that wait for sockets are served in between.
                await Task.yield()
                try Task.checkCancellation()
            case .nothingYet:
                try await store(splitter.cut(), output)
                await report(splitter.counters, since: &reported, output)
                // A peer that sends bit by bit would wake this thread for each of them.
                if mayRest, (1..<Self.trickleBytes).contains(received) {
                    try await IOThread.shared.sleep(for: rest(output))
                } else {
                    try await connection.waitReadable()
                }
                (received, turn) = (0, 0)
            case .end:
                try await store(splitter.finish(), output)
                await report(splitter.counters, since: &reported, output)
                throw ReceiverError(.connectionEnded, "\(host):\(port) ended the connection")
            }
        }
    }

    /// Until shortly before the next block is cut, so that it holds what arrived by then.
    private func rest(_ output: ReceiverOutput<String>) -> Duration {
        let (now, margin) = (output.generator.clock.now, Duration.milliseconds(1))
        let cut = output.generator.alignment.firstTime(after: now + margin)
        return min(cut - now - margin, Self.restMaximum)
    }

    private func store(_ lines: LineBlock?, _ output: ReceiverOutput<String>) async throws {
        if let lines { try await output.store(lines: lines) }
    }

    private func report(
        _ counters: LineSplitter.Counters, since reported: inout LineSplitter.Counters,
        _ output: ReceiverOutput<String>
    ) async {
        guard counters != reported else { return }
        let long =
            counters.truncatedLines - reported.truncatedLines
            + counters.refusedLines - reported.refusedLines
        let invalid = counters.invalidUTF8Lines - reported.invalidUTF8Lines
        reported = counters
        let stream = output.streamID
        // A listener that is slow must not hold up the thread of all sockets and timers.
        await UserThreads.run {
            if long > 0 { output.post(.linesTruncated(stream: stream, count: long)) }
            if invalid > 0 { output.post(.invalidUTF8Replaced(stream: stream, count: invalid)) }
        }
    }
}
