package import BatchEngine
internal import Synchronization

/// This process as a worker of another one, which started it.
package struct WorkerProcess: Sendable {
    private let socket: String
    private let secret: String
    /// Set for good once this process is a worker.
    private static let isWorker = CancellationFlag()

    /// Whether this process is a worker.
    package static var isCurrent: Bool {
        isWorker.isCancelled || ProcessEnvironment[WorkerLauncher.socketVariable] != nil
    }

    /// Finds out whether this process was started as a worker; nil: it was not.
    package init?() {
        guard let socket = ChildProcess.takeVariable(WorkerLauncher.socketVariable),
            let secret = ChildProcess.takeVariable(WorkerLauncher.secretVariable)
        else { return nil }
        Self.isWorker.cancel()
        // It is started with the usual signals.
        ProcessOutput.ignoreBrokenPipes()
        self.socket = socket
        self.secret = secret
    }

    /// What a worker with a secret says first, for tests.
    package static func helloForTests(_ secret: String) -> Frames.Message {
        let identity = WorkerIdentity(executable: "", fingerprint: "")
        return Frames.Message(.hello, Hello(secret: secret, identity: identity).payload)
    }

    /// Runs tasks until the driver has gone; the process ends with that.
    ///
    /// - Parameter build: builds the graph, once there is a connection to the driver.
    /// - Throws: what keeps the worker from being one.
    package func serve(_ build: () throws -> EngineProgram) async throws -> Never {
        let connection = try connect()
        let (messages, feed) = AsyncStream.makeStream(of: Frames.Message.self)
        let incoming = MessageQueue()
        // A thread of its own: whatever user code does, the driver's end is noticed at once.
        try SystemThread.start(name: "worker-driver") {
            Self.listen(to: connection, feed, incoming)
            removeSocket()
            ChildProcess.leave(0)
        }
        let program = try build()
        let identity = WorkerIdentity(
            executable: try ChildProcess.identity(of: ChildProcess.ownExecutable),
            fingerprint: program.fingerprint)
        try connection.writeAll(
            try FramedMessage(
                Frames.Message(.hello, Hello(secret: secret, identity: identity).payload)))
        // The first message tells what the worker is for.
        var first = messages.makeAsyncIterator()
        if let message = await first.next() {
            if message.kind == .service {
                try await Self.serve(message, of: program, connection, incoming)
            } else {
                try await Self.runTasks(message, messages, of: program, connection)
            }
        }
        ChildProcess.leave(0)
    }

    private static func runTasks(
        _ first: Frames.Message, _ messages: AsyncStream<Frames.Message>,
        of program: EngineProgram, _ connection: BlockingConnection
    ) async throws {
        let tasks = WorkerTasks(program)
        let engine = LocalEngine(slots: 1)
        @Sendable func answer(_ message: Frames.Message) async throws {
            let answer = try await tasks.answer(message)
            ProcessOutput.flush()
            try connection.writeAll(try FramedMessage(answer))
        }
        try await engine.perform("worker") {
            try await answer(first)
            for await message in messages { try await answer(message) }
        }
    }

    /// Runs the service that a message names.
    private static func serve(
        _ message: Frames.Message, of program: EngineProgram, _ connection: BlockingConnection,
        _ incoming: MessageQueue
    ) async throws {
        let number = try ServiceMessage(payload: message.payload).number
        let channel = QueueChannel(incoming: incoming) { payload in
            ProcessOutput.flush()
            try connection.writeAll(try FramedMessage(Frames.Message(.message, payload)))
        }
        try await program.service(number)(channel)
    }

    private func connect() throws(SystemError) -> BlockingConnection {
        do { return try BlockingConnection(path: socket) } catch {
            removeSocket()
            throw error
        }
    }

    /// Removes what is the driver's to remove, unless it ended just now.
    private func removeSocket() {
        _ = try? FileSystem.remove(socket)
        if let directory = FileSystem.parent(of: socket) {
            TemporaryDirectory.removeEmptied(directory)
        }
    }

    private static func listen(
        to connection: BlockingConnection, _ feed: AsyncStream<Frames.Message>.Continuation,
        _ incoming: MessageQueue
    ) {
        var reader = FrameReader()
        do {
            while true {
                // The driver has ended, or wants no more of this worker.
                if try reader.fill(connection.receive) == 0 { return }
                guard let message = try reader.next() else { continue }
                switch message.kind {
                case .welcome: try message.check()
                case .message: incoming.put(message.payload)
                default: feed.yield(message)
                }
            }
        } catch {
            ProcessOutput.writeStandardError("worker: \(error)\n")
        }
    }
}
