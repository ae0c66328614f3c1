import BatchEngine
import ProcessEngine
import StreamingContext

extension Probe {
    /// Whether this process is a worker, as no graph should ask.
    static var isWorker: Bool { WorkerProcess.isCurrent }
}

/// A program without a StreamingApplication.
func runInPlace() async throws {
    let ssc = StreamingContext(
        appName: "imperative", batchInterval: .seconds(1), engine: .processes(workers: 1))
    ssc.socketTextStream("127.0.0.1", port: 1).print()
    try await ssc.start()
}

/// Workers that do not keep to the protocol.
enum Garbage {
    static func run() async throws {
        guard let path = ProcessEnvironment["DSTREAMS_WORKER_SOCKET"] else {
            return try await Probe.run()
        }
        let connection = try BlockingConnection(path: path)
        switch Probe.settings.text("kind") {
        case "noise": try connection.writeAll([UInt8](repeating: 7, count: 1 << 20))
        case "oversize":
            var writer = ByteWriter()
            writer.writeFixed(UInt16(0x5344))
            writer.writeByte(1)
            writer.writeByte(0)
            writer.writeFixed(UInt32.max)
            try connection.writeAll(writer.bytes)
        case "secret":
            try connection.writeAll(FramedMessage(WorkerProcess.helloForTests("wrong")))
        default: return
        }
        // Until the driver has had enough.
        var room = [UInt8](repeating: 0, count: 1)
        _ = try? room.withUnsafeMutableBytes { try connection.receive($0) }
    }
}
