import Testing

import BatchEngine

@Suite("TCP", .timeLimit(.minutes(5)))
struct TCPTests {
    private func pair(
        _ ioThread: IOThread = .shared
    ) async throws -> (client: TCPConnection, server: TCPConnection) {
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0, ioThread: ioThread)
        defer { listener.close() }
        async let accepted = listener.accept()
        let client = try await TCPConnection.connect(
            host: "127.0.0.1", port: listener.port, ioThread: ioThread)
        return (client, try await accepted)
    }

    /// Returns when the tasks started on the shared thread before have suspended.
    ///
    /// The thread runs them in order, each until it waits.
    private func tasksHaveSuspended() async {
        await Task(executorPreference: IOThread.shared) {}.value
    }

    /// A port that nobody has, of those that Linux gives to connections, the even ones: some attempt
    /// to connect to it gets it for its own side.
    private func freeEvenPort() async throws -> Int {
        while true {
            let any = try await TCPListener.bind(host: "127.0.0.1", port: 0)
            any.close()
            do {
                let even = try await TCPListener.bind(host: "127.0.0.1", port: any.port & ~1)
                even.close()
                return even.port
            } catch let error as SystemError where error.isAddressInUse {}
        }
    }

    @Test("bytes arrive whole and in order, also more than buffers hold")
    func transfersBytes() async throws {
        let (client, server) = try await pair()
        #expect(client.peerPort == server.localPort && server.peerPort == client.localPort)
        #expect(client.peerHost == "127.0.0.1")
        let sent = (0..<20_000_000).map { UInt8(truncatingIfNeeded: $0 ^ ($0 >> 8)) }
        async let writing: Void = {
            try await server.writeAll(sent)
            try server.endWriting()
        }()
        var received: [UInt8] = []
        while let bytes = try await client.read() { received += bytes }
        try await writing
        #expect(received == sent)
        #expect(try await client.read() == nil)
    }

    @Test("a silent peer is given up after two minutes, on both sides")
    func keepsAlive() async throws {
        let (client, server) = try await pair()
        #expect(client.silenceMaximum == .seconds(120))
        #expect(server.silenceMaximum == .seconds(120))
        client.close()
        #expect(client.silenceMaximum == nil)
        server.close()
    }

    @Test("where nobody listens, a connection is refused, never made to itself")
    func selfConnection() async throws {
        let port = try await freeEvenPort()
        for _ in 0..<20_000 {
            let error = await #expect(throws: SystemError.self) {
                _ = try await TCPConnection.connect(host: "127.0.0.1", port: port)
            }
            guard error?.isConnectionRefused == true else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Test("a sleep ends by itself, and at once when it is cancelled")
    func sleeps() async throws {
        try await IOThread.shared.sleep(for: .microseconds(100))
        let long = Task { try await IOThread.shared.sleep(for: .seconds(10_000)) }
        long.cancel()
        await #expect(throws: CancellationError.self) { try await long.value }
    }

    @Test("localhost is looked up and lines are read without copying")
    func readsLines() async throws {
        let listener = try await TCPListener.bind(host: "localhost", port: 0)
        async let accepted = listener.accept()
        let client = try await TCPConnection.connect(host: "localhost", port: listener.port)
        let server = try await accepted
        async let writing: Void = {
            for number in 0..<1000 { try await server.writeAll(Array("line \(number)\r\n".utf8)) }
            server.close()
        }()
        var splitter = LineSplitter()
        var isOpen = true
        while isOpen {
            var outcome = TCPConnection.Received.nothingYet
            try splitter.append { room throws(SystemError) in
                outcome = try client.receive(into: room)
                if case .bytes(let count) = outcome { return count }
                return 0
            }
            switch outcome {
            case .bytes: break
            case .nothingYet: try await client.waitReadable()
            case .end: isOpen = false
            }
        }
        try await writing
        #expect(splitter.finish()?.lines == (0..<1000).map { "line \($0)" })
    }

    @Test("a task may run on the polling thread itself")
    func runsOnPollingThread() async throws {
        let ioThread = IOThread(name: "test-io")
        let (client, server) = try await pair(ioThread)
        let echo = Task(executorPreference: ioThread) {
            while let bytes = try await server.read() { try await server.writeAll(bytes) }
        }
        for round in 0..<200 {
            let message = Array("message \(round)".utf8)
            try await client.writeAll(message)
            var answer: [UInt8] = []
            while answer.count < message.count {
                answer += try #require(try await client.read())
            }
            #expect(answer == message)
        }
        client.close()
        try await echo.value
        ioThread.shutdown()
        let error = await #expect(throws: SystemError.self) { try await server.waitReadable() }
        #expect(error?.description == "the I/O thread was shut down")
    }

    @Test("a refused connection names host and port")
    func refusedConnection() async throws {
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        let port = listener.port
        listener.close()
        let error = await #expect(throws: SystemError.self) {
            try await TCPConnection.connect(host: "127.0.0.1", port: port)
        }
        #expect(error?.isConnectionRefused == true)
        #expect(
            error?.description.hasPrefix("cannot connect to 127.0.0.1:\(port): Connection refused")
                == true)
    }

    @Test("an unknown host is named")
    func unknownHost() async throws {
        let error = await #expect(throws: SystemError.self) {
            try await TCPConnection.connect(host: "no such host", port: 1)
        }
        #expect(error?.description.contains("no such host:1") == true)
        #expect(error?.call == "getaddrinfo")
    }

    @Test("a wait past its deadline ends with a time-out")
    func deadlinePasses() async throws {
        let wait = IOWait()
        let error = await #expect(throws: SystemError.self) {
            try await IOThread.shared.waitFor(wait, deadline: SystemTime.monotonic())
        }
        #expect(error?.isTimeout == true)
    }

    @Test("a taken port is said to be taken, and is free again when closed")
    func takenPort() async throws {
        let first = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        let error = await #expect(throws: SystemError.self) {
            try await TCPListener.bind(host: "127.0.0.1", port: first.port)
        }
        #expect(error?.isAddressInUse == true)
        let text = "port \(first.port) on 127.0.0.1 is taken by another program"
        #expect(error?.description.hasPrefix(text) == true)
        first.close()
        let second = try await TCPListener.bind(host: "127.0.0.1", port: first.port)
        second.close()
    }

    @Test("a lost connection is reported to reader and writer")
    func lostConnection() async throws {
        let (client, server) = try await pair()
        try await client.writeAll([1, 2, 3])
        try await server.waitReadable()
        // Closing with unread bytes resets the connection.
        server.close()
        let error = await #expect(throws: SystemError.self) {
            while try await client.read() != nil {}
            while true { try await client.writeAll([UInt8](repeating: 0, count: 1 << 16)) }
        }
        #expect(error?.isConnectionLost == true)
    }

    @Test("cancelling ends a wait, before and while it waits", arguments: [false, true])
    func cancellation(isWaiting: Bool) async throws {
        let (client, server) = try await pair()
        let task = Task(executorPreference: IOThread.shared) { try await client.read() }
        if isWaiting { await tasksHaveSuspended() }
        task.cancel()
        await #expect(throws: CancellationError.self) { _ = try await task.value }
        // The connection is still usable.
        try await server.writeAll([7])
        #expect(try await client.read() == [7])
    }

    @Test("closing ends the waits of reader and listener")
    func closingEndsWaits() async throws {
        let (client, server) = try await pair()
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        let reading = Task(executorPreference: IOThread.shared) { try await client.read() }
        let accepting = Task(executorPreference: IOThread.shared) { try await listener.accept() }
        await tasksHaveSuspended()
        client.close()
        client.close()
        listener.close()
        let readError = await #expect(throws: SystemError.self) { _ = try await reading.value }
        #expect(readError?.isClosed == true)
        let acceptError = await #expect(throws: SystemError.self) { _ = try await accepting.value }
        #expect(acceptError?.isClosed == true)
        await #expect(throws: SystemError.self) { try await client.writeAll([1]) }
        server.close()
    }

    @Test("cancelling, closing and arriving bytes may race", arguments: 0..<8)
    func endingsRace(seed: Int) async throws {
        for round in 0..<50 {
            let (client, server) = try await pair()
            let readers = (0..<3).map { _ in Task { try await client.read() } }
            async let sent: Void? = try? server.writeAll([1])
            async let cancelled: Void = readers[(seed + round) % 3].cancel()
            async let closed: Void = client.close()
            _ = await (sent, cancelled, closed)
            for reader in readers {
                // Each reader ends, whichever came first: the byte, the cancellation or the closing.
                switch await reader.result {
                case .success(let bytes): #expect(bytes == [1])
                case .failure(let error as SystemError): #expect(error.isClosed)
                case .failure(let error): #expect(error is CancellationError)
                }
            }
            server.close()
        }
    }
}
