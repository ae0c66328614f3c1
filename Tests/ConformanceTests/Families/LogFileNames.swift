import DStreamCore

/// What the files of a log are called, by the rules: Spark's, and ours where it is another.
///
/// A file is called by the time of its first record and by the end of its interval. The first record
/// after an opening begins one: Spark appends to a file that is called the same, ours begins another
/// with a number behind the name.
struct LogFileNames {
    private struct File {
        let name: String
        let end: Int64
    }

    private let interval: Int64
    private let numbers: Bool
    private var files: [File] = []
    /// Whether the last file takes more records.
    private var isOpen = false
    /// Whether the last file was begun since the opening: it is not cleaned.
    private var isCurrent = false

    /// Makes those of a log without files.
    ///
    /// - Parameter numbers: whether names are as ours.
    init(interval: Int64, numbers: Bool) {
        self.interval = interval
        self.numbers = numbers
    }

    mutating func reopen() { (isOpen, isCurrent) = (false, false) }

    /// - Returns: the file that takes the record.
    @discardableResult
    mutating func write(at time: Int64, thenClose: Bool = false) -> String {
        if !isOpen || time > (files.last?.end ?? .min) {
            let stem = "log-\(time)-\(time + interval)"
            let alike = files.filter { $0.name == stem || $0.name.hasPrefix(stem + ".") }
            if alike.isEmpty || numbers {
                let name = alike.isEmpty ? stem : "\(stem).\(alike.count)"
                files.append(File(name: name, end: time + interval))
            } else {
                files.removeAll { $0.name == stem }
                files.append(File(name: stem, end: time + interval))
            }
            isCurrent = true
        }
        isOpen = !thenClose
        return files.last?.name ?? ""
    }

    mutating func clean(before threshold: Int64) {
        let current = isCurrent ? files.last?.name : nil
        files.removeAll { $0.end < threshold && $0.name != current }
    }

    /// As a directory lists them.
    var listed: [String] {
        files.map(\.name).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
}

/// The files of a log in Spark and here.
struct LogFilePair {
    private(set) var spark: LogFileNames
    private(set) var ours: LogFileNames

    init(interval: Duration) {
        spark = LogFileNames(interval: interval.milliseconds, numbers: false)
        ours = LogFileNames(interval: interval.milliseconds, numbers: true)
    }

    /// Changes both in the same way.
    mutating func both<Result>(_ change: (inout LogFileNames) -> Result) -> (Result, Result) {
        (change(&spark), change(&ours))
    }

    /// A record with another time here.
    mutating func write(at time: Int64, oursAt ourTime: Int64) {
        spark.write(at: time)
        ours.write(at: ourTime)
    }

    /// A record that only Spark writes.
    mutating func writeInSparkOnly(at time: Int64) { spark.write(at: time) }

    /// Compares `files` with Spark's rule, and what is there with ours.
    ///
    /// - Returns: what was to be there by our rule and by Spark's.
    func compare(
        _ listed: [String], _ step: inout PieceStep
    ) throws -> (ours: [String], spark: [String]) {
        try step.expect("files", .array(spark.listed.map { .string($0) }))
        let files = listed.filter { $0 != "lock" }
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        if files != ours.listed { step.add(["files are \(files), not \(ours.listed)"]) }
        return (ours.listed, spark.listed)
    }
}
