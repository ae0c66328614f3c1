import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A directory of files with chosen modification times; it goes when nobody needs it any more.
final class WatchedDirectory: Sendable {
    let path: String

    private let lastBirth = Locked<Int64?>(nil)

    init() throws { path = try FileSystem.createTemporaryDirectory(prefix: "watched") }

    /// Whether the file system says when files were made.
    static let tellsBirths: Bool = {
        guard let root = try? WatchedDirectory() else { return false }
        return (try? FileSystem.status(root.path))??.birth != nil
    }()

    deinit { try? FileSystem.removeTree(path) }

    /// Writes a file elsewhere and renames it into its place, as a careful program does.
    ///
    /// - Parameter isTold: whether it is made in another tick of the file system's clock than those
    ///   before, so that it is told from one that had its inode.
    func write(
        _ name: String, _ bytes: [UInt8], at milliseconds: Int64, isTold: Bool = false
    ) throws {
        let target = "\(path)/\(name)"
        if let slash = target.lastIndex(of: "/") {
            try FileSystem.createDirectory(String(target[..<slash]))
        }
        let aside = "\(path)/_aside"
        repeat {
            try FileSystem.removeTree(aside)
            let file = try OpenFile(aside, .replace)
            try file.write(bytes)
        } while isTold && !isBornLater(aside)
        try FileSystem.rename(aside, to: target, durability: .handedOver)
        try touch(name, at: milliseconds)
    }

    func write(
        _ name: String, _ text: String, at milliseconds: Int64, isTold: Bool = false
    ) throws {
        try write(name, Array(text.utf8), at: milliseconds, isTold: isTold)
    }

    private func isBornLater(_ file: String) -> Bool {
        let birth = (try? FileSystem.status(file))??.birth
        return lastBirth.withLock { last in
            defer { last = birth }
            return birth != last
        }
    }

    func touch(_ name: String, at milliseconds: Int64) throws {
        let spec = timespec(
            tv_sec: Int(milliseconds / 1000), tv_nsec: Int(milliseconds % 1000) * 1_000_000)
        guard utimensat(AT_FDCWD, "\(path)/\(name)", [spec, spec], 0) == 0 else {
            throw SystemError.last("utimensat", name)
        }
    }

    func link(_ name: String, to target: String) throws {
        guard symlink("\(path)/\(target)", "\(path)/\(name)") == 0 else {
            throw SystemError.last("symlink", name)
        }
    }

    func remove(_ name: String) throws { try FileSystem.removeTree("\(path)/\(name)") }

    func text(_ name: String) throws -> String {
        String(decoding: try FileSystem.readAll("\(path)/\(name)"), as: UTF8.self)
    }
}

extension StreamHarness {
    /// A harness whose clock stands at 100 seconds and whose batches go on after failures.
    static func forFiles(
        remember: Duration = .seconds(60), detection: FileDetection = .byAppearance,
        lateBatches: LateBatches = .generate, from start: BatchTime = .seconds(100),
        store: (any CheckpointStore)? = nil, medium: (any StorageMedium)? = nil,
        _ warnings: Notes<String> = Notes()
    ) -> StreamHarness {
        var configuration = StreamingContext.Configuration()
        configuration.failurePolicy = .continue
        configuration.maxTaskFailures = 1
        configuration.fileStreamMinimumRemember = remember
        configuration.fileStreamDetection = detection
        configuration.lateBatches = lateBatches
        var components = StreamHarness.quietComponents
        components.logger = NotingLogger(notes: warnings)
        components.checkpointStore = store
        if let medium { components.storageMedium = medium }
        return StreamHarness(
            startTime: start, configuration: configuration, components: components)
    }
}

/// Keeps what people would read.
struct NotingLogger: DiagnosticLogger {
    let notes: Notes<String>

    func log(
        level: DiagnosticLevel, _ message: @autoclosure () -> String, metadata: [String: String]
    ) {
        if level >= .warning { notes.add(message()) }
    }
}
