/// A receiver that knows before it is started what of its settings cannot work.
protocol CheckedReceiver {
    /// What cannot work, in words; nil: nothing is known.
    var problem: String? { get }
}

extension CheckedReceiver {
    /// What is wrong with where a receiver connects to, in words.
    func connectionProblem(port: Int, _ timeout: Duration) -> String? {
        if !(1...65535).contains(port) { return "port is \(port); it must be from 1 to 65535" }
        if timeout <= .zero { return "connectTimeout is \(timeout); it must be more than 0" }
        return nil
    }
}

extension RawSocketReceiver: CheckedReceiver {
    var problem: String? {
        if let most = maxBlockSizeBytes, !(1...Int(Int32.max)).contains(most) {
            return "maxBlockSizeBytes is \(most); it must be from 1 to \(Int32.max)"
        }
        return connectionProblem(port: port, connectTimeout)
    }
}

extension SocketReceiver: CheckedReceiver {
    var problem: String? {
        if maxLineBytes < 1 { return "maxLineBytes is \(maxLineBytes); it must be at least 1" }
        return connectionProblem(port: port, connectTimeout)
    }
}

extension SocketStreamReceiver: CheckedReceiver {
    var problem: String? { connectionProblem(port: port, connectTimeout) }
}
