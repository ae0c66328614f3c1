import BatchEngine
import DStreamCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What is done to the files of a case.
enum FileAction {
    case write(String, [UInt8], BatchTime)
    case rename(String, String)
    case makeDirectory(String, BatchTime)
    case touch(String, BatchTime)

    init(_ json: PieceJSON) throws {
        let words = try json.elements()
        func text(_ index: Int) throws -> String { try ElementForm.string.read(words[index]) }
        func time(_ index: Int) throws -> BatchTime {
            BatchTime(milliseconds: Int64(try ElementForm.int.read(words[index])))
        }
        switch (words.first, words.count) {
        case (.string("write"), 4): self = .write(try text(1), Array(try text(2).utf8), try time(3))
        case (.string("writeHex"), 4):
            self = .write(try text(1), try Self.bytes(try text(2)), try time(3))
        case (.string("rename"), 3): self = .rename(try text(1), try text(2))
        case (.string("mkdir"), 3): self = .makeDirectory(try text(1), try time(2))
        case (.string("touch"), 3): self = .touch(try text(1), try time(2))
        default: throw PieceStep.Malformed(description: "unknown action \(json)")
        }
    }

    private static func bytes(_ hex: String) throws -> [UInt8] {
        let digits = hex.compactMap(\.hexDigitValue)
        guard digits.count == hex.count, digits.count.isMultiple(of: 2) else {
            throw PieceStep.Malformed(description: "no bytes: \(hex)")
        }
        return stride(from: 0, to: digits.count, by: 2).map {
            UInt8(digits[$0] * 16 + digits[$0 + 1])
        }
    }

    /// Does it below a directory.
    func perform(in root: String) throws {
        switch self {
        case .write(let name, let bytes, let time):
            let path = "\(root)/\(name)"
            if let slash = path.lastIndex(of: "/") {
                try FileSystem.createDirectory(String(path[..<slash]))
            }
            let file = try OpenFile(path, .replace)
            try file.write(bytes)
            try Self.setModified(path, time)
        case .rename(let name, let target):
            try FileSystem.rename(
                "\(root)/\(name)", to: "\(root)/\(target)", durability: .handedOver)
        case .makeDirectory(let name, let time):
            try FileSystem.createDirectory("\(root)/\(name)")
            try Self.setModified("\(root)/\(name)", time)
        case .touch(let name, let time): try Self.setModified("\(root)/\(name)", time)
        }
    }

    private static func setModified(_ path: String, _ time: BatchTime) throws {
        let spec = timespec(
            tv_sec: Int(time.milliseconds / 1000),
            tv_nsec: Int(time.milliseconds % 1000) * 1_000_000)
        guard utimensat(AT_FDCWD, path, [spec, spec], 0) == 0 else {
            throw SystemError.last("utimensat", path)
        }
    }
}

/// What the files of a flat directory give to each batch, by definition.
struct FileModel {
    private struct File {
        var text: String
        var modified: Int64
        var readAt: Int64?
    }

    let windowMillis: Int64
    let batchMillis: Int64
    let startMillis: Int64
    let isIncluded: (String) -> Bool
    private var files: [String: File] = [:]

    init(
        windowMillis: Int64, batchMillis: Int64, startMillis: Int64,
        isIncluded: @escaping (String) -> Bool
    ) {
        self.windowMillis = windowMillis
        self.batchMillis = batchMillis
        self.startMillis = startMillis
        self.isIncluded = isIncluded
    }

    mutating func perform(_ action: FileAction) throws {
        switch action {
        case .write(let name, let bytes, let time):
            guard !name.utf8.contains(UInt8(ascii: "/")) else {
                throw Pipelines.Unknown(description: "the model has one directory: \(name)")
            }
            let text = String(decoding: bytes, as: UTF8.self)
            files[name] = File(
                text: text, modified: time.milliseconds, readAt: files[name]?.readAt)
        case .rename(let name, let target):
            files[target] = files.removeValue(forKey: name)
            files[target]?.readAt = nil
        case .touch(let name, let time): files[name]?.modified = time.milliseconds
        case .makeDirectory(let name, _):
            throw Pipelines.Unknown(description: "the model has one directory: \(name)")
        }
    }

    /// The lines of a batch with their byte offsets; names with `_` and `.` are never read.
    mutating func lines(at time: Int64) -> [(Int, String)] {
        var lines: [(Int, String)] = []
        for (name, file) in files where isIncluded(name) && !"_.".contains(name.prefix(1)) {
            if let read = file.readAt, read >= time - batchMillis - windowMillis { continue }
            let oldest = max(startMillis, time - windowMillis)
            guard file.modified > oldest, file.modified <= time else { continue }
            files[name]?.readAt = time
            var offset = 0
            for line in file.text.split(separator: "\n", omittingEmptySubsequences: false) {
                if !line.isEmpty { lines.append((offset, String(line))) }
                offset += line.utf8.count + 1
            }
        }
        return lines
    }
}
