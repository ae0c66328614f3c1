internal import BatchEngine
internal import Synchronization

/// Starts worker processes: this program again, in another role.
final class WorkerLauncher: WorkerSource {
    /// The variables that tell a process its role.
    static let socketVariable = "DSTREAMS_WORKER_SOCKET"
    static let secretVariable = "DSTREAMS_WORKER_SECRET"

    /// A trap ends a worker at once: printing a backtrace would take seconds, at each attempt.
    private static let traps =
        ProcessEnvironment["SWIFT_BACKTRACE"] == nil ? ["SWIFT_BACKTRACE": "enable=no"] : [:]

    /// The program's own, byte by byte.
    private static let arguments =
        ProcessEnvironment.arguments.isEmpty
        ? [Array("worker".utf8)] : ProcessEnvironment.arguments

    private let configuration: ProcessEngine.Configuration
    private let executable = ChildProcess.ownExecutable
    private let expected: WorkerIdentity

    init(_ configuration: ProcessEngine.Configuration, fingerprint: String) throws {
        self.configuration = configuration
        expected = WorkerIdentity(
            executable: try ChildProcess.identity(of: executable), fingerprint: fingerprint)
    }

    func start(number: Int) async throws -> any WorkerLink { try await launch(number) }

    func startService(_ service: Int, worker: Int) async throws -> any ServiceLink {
        let link = try await launch(worker)
        try await link.send(Frames.Message(.service, ServiceMessage(service).payload))
        return ProcessService(link)
    }

    private func launch(_ number: Int) async throws -> ProcessLink {
        let deadline = SystemTime.monotonic() + configuration.startLimit
        let secret = Self.freshSecret()
        do {
            let (process, connection) = try await connect(secret, deadline)
            do {
                let link = try ProcessLink(process, connection, number: number)
                try await handshake(with: link, connection, secret, deadline)
                return link
            } catch {
                await end(process)
                throw error
            }
        } catch let error as EngineError {
            throw EngineError(error.code, "worker \(number) cannot be used: \(error.message)")
        } catch let error as WorkerLost {
            throw WorkerLost(description: "\(error) before it said who it is")
        } catch let error where !(error is CancellationError) {
            let reason =
                (error as? SystemError)?.isTimeout == true
                ? "it did not come within \(configuration.startLimit)" : "\(error)"
            throw WorkerLost(description: "worker \(number) did not start: \(reason)")
        }
    }

    /// Starts a process and waits until it has connected.
    private func connect(
        _ secret: String, _ deadline: Duration
    ) async throws -> (ChildProcess, LocalConnection) {
        // A directory of its own, gone as soon as the worker has connected: nothing stays behind.
        let directory = try TemporaryDirectory(.socket)
        defer { directory.remove() }
        let listener = try LocalListener(path: "\(directory.path)/socket")
        defer { listener.close() }
        let process = try ChildProcess.start(
            executable,
            arguments: Self.arguments,
            environment: Self.traps.merging([
                Self.socketVariable: listener.path, Self.secretVariable: secret,
            ]) { $1 })
        do { return (process, try await accept(process, listener, deadline)) } catch {
            await end(process)
            throw error
        }
    }

    private func end(_ process: ChildProcess) async {
        process.kill()
        _ = try? await BlockingThreads.shared.run { process.wait() }
    }

    /// Takes a worker, if it is the right one.
    private func handshake(
        with link: ProcessLink, _ connection: LocalConnection, _ secret: String,
        _ deadline: Duration
    ) async throws {
        let message = try await link.receive(deadline: deadline)
        guard message.kind == .hello else {
            throw WorkerProtocolError("its first message is a \(message.kind)")
        }
        let hello = try Hello(payload: message.payload)
        guard Self.isEqual(hello.secret, secret) else {
            throw WorkerProtocolError("it does not know the secret")
        }
        if let difference = expected.difference(in: hello.identity) {
            throw EngineError(.workersUnusable, difference)
        }
        let welcome = try FramedMessage(Frames.Message(.welcome, []))
        try await connection.writeAll(welcome, deadline: deadline)
    }

    /// Waits for the worker, or for its end.
    private func accept(
        _ process: ChildProcess, _ listener: LocalListener, _ deadline: Duration
    ) async throws -> LocalConnection {
        while true {
            let look = min(deadline, SystemTime.monotonic() + .milliseconds(100))
            do { return try await listener.accept(deadline: look) } catch let error as SystemError
                where error.isTimeout
            {
                if let end = process.poll() {
                    throw WorkerProtocolError(
                        "it \(end) before it connected; does the program's main call "
                            + "StreamingApplication's main() or context() first?")
                }
                if look >= deadline { throw error }
            }
        }
    }

    private static func freshSecret() -> String {
        (0..<4).map { _ in
            let digits = String(UInt64.random(in: .min ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// Compares in a time that does not tell where the first difference is.
    static func isEqual(_ left: String, _ right: String) -> Bool {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
